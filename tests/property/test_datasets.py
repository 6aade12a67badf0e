"""What is written comes back; what no area covers is covered by the rest; what a reader gives lies in its picture."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.datasets.import_report import ImportReport
from serving.datasets.readers.boxes import annotation, outside, share
from serving.datasets.store import Annotation, Box, Dataset, Picture, Vote, read_store, write_store

pytestmark = pytest.mark.property

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False)
BOXES: st.SearchStrategy[Box] = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VOTES = st.builds(Vote, rater=TEXT, mitotic=st.booleans())
ANNOTATIONS = st.builds(
    Annotation,
    box=BOXES,
    label=st.sampled_from(["mitotic figure", "look-alike"]),
    agreement=st.floats(0, 1),
    votes=st.lists(VOTES, max_size=3).map(tuple),
    nominal=st.booleans(),
)
PICTURES = st.builds(
    Picture,
    id=TEXT,
    path=TEXT,
    width=st.integers(1, 10**6),
    height=st.integers(1, 10**6),
    mpp=st.none() | st.floats(0.05, 10),
    slide=TEXT,
    patient=TEXT,
    labelled=st.booleans(),
    annotations=st.lists(ANNOTATIONS, max_size=4).map(tuple),
    unlabelled_areas=st.lists(BOXES, max_size=3).map(tuple),
    ambiguous_areas=st.lists(BOXES, max_size=3).map(tuple),
    attributes=st.dictionaries(TEXT, TEXT, max_size=3),
)
DATASETS = st.builds(
    Dataset, name=TEXT, format=TEXT, licence=TEXT, root=TEXT, pictures=st.lists(PICTURES, max_size=4).map(tuple)
)


@given(dataset=DATASETS)
def test_a_store_comes_back_as_it_was_written(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "store.json"
    write_store(dataset, path)
    assert read_store(path) == dataset
    assert not path.with_suffix(".part").exists()


def test_a_wrong_store_is_named_by_file_and_field(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    path.write_text('{"name": "a", "format": "b", "licence": "c", "root": "d", "pictures": [{"id": "x"}]}')
    with pytest.raises(ValueError, match=r"store\.json: pictures\.0\.path: Field required"):
        read_store(path)


SIDE = 12
CELLS = st.integers(-4, SIDE + 4)
AREAS = st.lists(
    st.tuples(CELLS, CELLS, st.integers(1, SIDE), st.integers(1, SIDE)).map(
        lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
    ),
    max_size=4,
)


def painted(areas: list[Box]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How many of `areas` cover each pixel of a small picture."""
    count = np.zeros((SIDE, SIDE), np.int64)
    for x1, y1, x2, y2 in areas:
        count[max(int(y1), 0) : max(int(y2), 0), max(int(x1), 0) : max(int(x2), 0)] += 1
    return count


@given(areas=AREAS)
def test_areas_and_what_is_outside_of_them_make_the_whole_picture(areas: list[Box]) -> None:
    rest = painted(list(outside(areas, (SIDE, SIDE))))
    assert ((painted(areas) == 0) == (rest == 1)).all()
    assert rest.max(initial=0) <= 1


@given(box=BOXES, width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_an_annotation_lies_in_its_picture_and_every_box_is_accounted_for(box: Box, width: int, height: int) -> None:
    report = ImportReport()
    found = annotation(report, box, (width, height), "mitotic figure", 1.0)
    assert sum(report.taken.values()) + sum(report.dropped.values()) == 1
    if found is not None:
        x1, y1, x2, y2 = found.box
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert (found.box == box) == (not report.clipped)


@given(votes=st.lists(VOTES, max_size=6))
def test_agreement_is_the_share_of_votes_for_a_figure(votes: list[Vote]) -> None:
    expected = sum(v.mitotic for v in votes) / len(votes) if votes else 1.0
    assert share(votes, "mitotic figure") == pytest.approx(expected)
