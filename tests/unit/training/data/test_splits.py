"""No group is on two sides of a split, whatever data set and scanner shows it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.datasets.store import Picture
from tests.unit.serving.datasets.readers.layout import draw, imported
from tests.unit.serving.datasets.readers.test_midog_tiles import write as write_tiles
from tests.unit.serving.datasets.readers.test_mitos_atypia14_frames import frames
from training.data.sampling import Split, split_by_patient


def test_a_planted_crop_of_a_held_out_case_is_refused(tmp_path: Path) -> None:
    """The frame is a Hamamatsu scan, the crop an Aperio scan of the same biopsy from another folder."""
    held_out = tuple(imported("mitos-atypia14-frames", frames(tmp_path / "frames"))[0])
    for number in ("03", "04"):
        draw(tmp_path / f"crops/A{number}_00Ab_mitosis.csv1.jpg", 50, 50)
    crops = {p.slide: p for p in imported("mitos-atypia14-crops", tmp_path / "crops")[0]}
    assert Split((crops["A04"],), (), held_out)
    with pytest.raises(ValueError, match=r"patients \['mitos/03'\] are in train and in test"):
        Split((crops["A04"], crops["A03"]), (), held_out)


def test_crops_of_a_case_that_is_a_picture_elsewhere_are_refused(tmp_path: Path) -> None:
    picture = tuple(imported("midog-tiles", write_tiles(tmp_path / "tiles"))[0])
    draw(tmp_path / "crops/MIDOG21_6.png", 128, 128)
    columns = "slide,dataset,uid,x,y,expert1_label,expert2_label,majority_atypical"
    (tmp_path / "crops/amibr.csv").write_text(f"{columns}\n094.tiff,MIDOG21,6,9,9,NMF other,NMF other,False\n")
    crops = tuple(imported("amibr", tmp_path / "crops/amibr.csv")[0])
    with pytest.raises(ValueError, match=r"midog/094"):
        Split(crops, (), picture)


def test_look_alikes_and_figures_of_a_case_are_on_one_side(tmp_path: Path) -> None:
    draw(tmp_path / "none/27_01_10.jpg", 80, 80)
    draw(tmp_path / "crops/TUPAC_9.png", 128, 128)
    columns = "slide,dataset,uid,x,y,expert1_label,expert2_label,majority_atypical"
    (tmp_path / "crops/amibr.csv").write_text(f"{columns}\n27.tif,TUPAC,9,9,9,NMF other,NMF other,False\n")
    figures = tuple(imported("amibr", tmp_path / "crops/amibr.csv")[0])
    look_alikes = tuple(imported("tupac16-look-alikes", tmp_path / "none")[0])
    with pytest.raises(ValueError, match=r"tupac16/27"):
        Split(look_alikes, figures, ())


@given(st.lists(st.sampled_from("ABCDEFGH"), max_size=25), st.integers(0, 5), st.data())
def test_a_drawn_split_parts_no_patient(more: list[str], seed: int, data: st.DataObject) -> None:
    """Splits by share or by name, of enough patients that each part gets one."""
    patients = [*"ABCDE", *more]
    pictures = [
        Picture(id=str(i), path=f"{i}.png", width=9, height=9, slide=str(i), patient=p) for i, p in enumerate(patients)
    ]
    named = data.draw(st.lists(st.sampled_from(sorted(set(patients))), max_size=2, unique=True))
    split = split_by_patient(pictures, validation=0.2, test=0.2, seed=seed, test_patients=named)
    sides = [{p.patient for p in part} for part in (split.train, split.validation, split.test)]
    assert sum(map(len, sides)) == len(set(patients))
    assert sum(len(part) for part in (split.train, split.validation, split.test)) == len(pictures)
    assert set(named) <= sides[2]
    assert all(sides)
