"""Every format shows the figures that are counted, for any verdicts and threshold, and says whose they are."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.counts import JudgedObject
from serving.core.options import CountingOptions
from serving.exports import EXPORTS
from serving.exports.export import Export, ExportError, whole
from serving.exports.figures import list_figures
from serving.exports.report_json import to_json
from serving.review.verdicts import LABELS
from serving.scoring.analysis import Analysis
from serving.scoring.recount import recount
from serving.scoring.reviewed import ReviewDecision, find_centres, name_objects
from tests.examples import draw_examples
from tests.unit.serving.exports.conftest import PLACES, UNLIKELY
from tests.unit.serving.exports.read_figures import READERS

pytestmark = pytest.mark.property
ADDED = [(200.0, 700.0), (1300.0, 900.0), (300.0, 150.0)]
REVIEWER = 'Ä. "=^\\ <Müller>, Dr.'
SMALL = CountingOptions(hotspot_area=0.1, hotspots=2)


def decide(analysis: Analysis, labels: list[str | None], added: list[str | None], names: list[str]) -> ReviewDecision:
    """labels : of detections and then candidates, None for no verdict. added : what is said of each place of `ADDED`."""
    objects = [
        JudgedObject(
            target=name,
            **found.model_dump(include={"x", "y", "width", "height", "probability"}),
            label=label,
            is_figure=LABELS[label],
        )
        for (name, found), label in zip(name_objects(analysis.report).items(), labels, strict=True)
        if label is not None
    ]
    objects += [
        JudgedObject(
            target=f"added-{i}",
            x=x - 20,
            y=y - 25,
            width=40,
            height=50,
            probability=None,
            label=label,
            is_figure=LABELS[label],
        )
        for i, ((x, y), label) in enumerate(zip(ADDED, added, strict=True))
        if label is not None
    ]
    return ReviewDecision(tuple(objects), tuple(names), majority=len(names) > 1, last_entry=len(objects))


COUNTS_ONLY = {"report", "csv", "html", "pdf", "png", "appendix-html", "appendix-pdf"}
"""Formats that state or draw the counts, and list no figures apart from the report's own lists."""
NO_FIGURES = {"tiff", "ome-tiff"}
LABEL = st.sampled_from([None, *LABELS])
FIGURES = st.lists(LABEL, min_size=len(PLACES) + len(UNLIKELY), max_size=len(PLACES) + len(UNLIKELY))


def test_every_format_is_tested_here() -> None:
    assert set(READERS) | COUNTS_ONLY | NO_FIGURES == set(EXPORTS)


@draw_examples(8)
@given(
    labels=FIGURES,
    added=st.lists(LABEL, min_size=len(ADDED), max_size=len(ADDED)),
    threshold=st.sampled_from([None, 0.05, 0.3, 0.9]),
    names=st.sampled_from([[], [REVIEWER], ["A", REVIEWER]]),
)
def test_every_format_shows_the_figures_that_are_counted(
    dicom: tuple[Analysis, Path],
    labels: list[str | None],
    added: list[str | None],
    threshold: float | None,
    names: list[str],
) -> None:
    made, folder = dicom
    least = 0.5 if threshold is None else threshold
    model = {name for name, d in name_objects(made.report).items() if d.probability >= least}
    expected: list[tuple[float, float, str, str]] = []
    for (name, found), label in zip(name_objects(made.report).items(), labels, strict=True):
        if LABELS[label] if label is not None else name in model:
            ((x, y),) = find_centres([found]).tolist()
            expected.append((x, y, label or "not judged", "model"))
    expected += [
        (x, y, label, "reviewer") for (x, y), label in zip(ADDED, added, strict=True) if label and LABELS[label]
    ]
    analysis = recount(made, SMALL, threshold=threshold, decision=decide(made, labels, added, names))
    review = analysis.report.review
    assert review is not None
    assert review.counts.mitotic_figures == len(expected)  # as /counts states
    for name, read in READERS.items():
        if name == "dicom-ann" and not expected:
            with pytest.raises(ExportError, match="no mitotic figures"):
                EXPORTS[name].render(analysis, folder)
            continue
        rows, stated = read(EXPORTS[name].render(analysis, folder))
        assert len(rows) == len(expected), name
        for row, wanted in zip(sorted(rows), sorted(expected), strict=True):
            assert row[:2] == pytest.approx(wanted[:2], abs=0.5), name
            assert row[2:] == wanted[2:], name
        assert "after review" in stated, name
        if name != "detections-csv" or rows:
            assert f"{least:g}" in stated, name
            assert "Dr." in stated if names else "nobody yet" in stated, name
    tiles = csv.DictReader(io.StringIO(EXPORTS["csv"].render(analysis).decode()))
    assert sum(int(tile["after_review"]) for tile in tiles) == len(expected)


def test_what_shows_counts_says_that_they_are_after_review(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    labels: list[str | None] = ["Apoptotic body", *[None] * (len(PLACES) + len(UNLIKELY) - 1)]
    plain, reviewed = (
        recount(made, SMALL),
        recount(made, SMALL, decision=decide(made, labels, ["Mitosis"] * 3, [REVIEWER])),
    )
    assert EXPORTS["png"].render(plain) != EXPORTS["png"].render(reviewed)
    assert "After review" in EXPORTS["appendix-html"].render(reviewed).decode()
    assert EXPORTS["pdf"].render(reviewed).startswith(b"%PDF-")
    assert json.loads(EXPORTS["report"].render(reviewed))["review"]["added"] == 3
    for name in NO_FIGURES:
        assert EXPORTS[name].render(plain) == EXPORTS[name].render(reviewed)


def test_a_format_that_knows_of_no_review_is_refused_for_one(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    export = Export("counts.txt", "counts.txt", "application/vnd.example.counts", whole(to_json))
    assert export.render(recount(made, SMALL))
    decision = decide(made, [None] * (len(PLACES) + len(UNLIKELY)), [None] * 3, ["A"])
    with pytest.raises(ExportError, match=r"review=off"):
        export.render(recount(made, SMALL, decision=decision))


def test_dicom_identifies_each_review_apart(dicom: tuple[Analysis, Path]) -> None:
    made, folder = dicom
    n = len(PLACES) + len(UNLIKELY)
    said: list[list[str | None]] = [[None] * n, ["Mitosis", *[None] * (n - 1)], ["Atypical mitosis", *[None] * (n - 1)]]
    reviews = [recount(made, SMALL, decision=decide(made, labels, [None] * 3, ["A"])) for labels in said]
    analyses = [recount(made, SMALL), *reviews]
    uids = [hd.ann.annread(io.BytesIO(EXPORTS["dicom-ann"].render(a, folder))).SOPInstanceUID for a in analyses]
    assert len(set(uids)) == len(uids)


def test_two_verdicts_on_two_equal_objects_both_count(dicom: tuple[Analysis, Path]) -> None:
    made, _ = dicom
    first = made.report.detections[0]
    twins = made.report.model_copy(update={"detections": [first, first]})
    labels: list[str | None] = ["Mitosis", "Not mitosis", *[None] * len(UNLIKELY)]
    twin_analysis = replace(made, report=twins)
    analysis = recount(twin_analysis, SMALL, decision=decide(twin_analysis, labels, [None] * 3, ["A"]))
    assert analysis.report.review is not None
    assert analysis.report.review.counts.mitotic_figures == len(list(list_figures(analysis.report))) == 1
