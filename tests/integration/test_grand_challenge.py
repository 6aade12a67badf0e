"""The contract of grand-challenge.org both ways: a picture in, points in mm out, and the same points read back by a benchmark."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from serving.cli.grand_challenge import IMAGES, grand_challenge
from serving.evaluation.challenge_points import FILE, read_challenge_points
from serving.scoring.matching import MATCH_RADIUS_UM, match_centres
from serving.synthetic.field import MPP, SyntheticField
from tests.fields import draw_field
from tests.metaimages import write_metaimage
from tests.miniatures.cards import make_points_card, write_miniature

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def field() -> SyntheticField:
    return draw_field(seed=81, width=900, height=760, mitoses_per_mm2=250.0, lookalikes_per_mm2=150.0)


def run(root: Path, models: Path, *more: str) -> tuple[int, str]:
    arguments = ["--input", str(root / "input"), "--output", str(root / "output"), "--models", str(models), *more]
    done = CliRunner().invoke(grand_challenge, arguments)
    return done.exit_code, done.output


@pytest.mark.parametrize("suffix", [".mha", ".tif", ".tiff"])
def test_a_picture_becomes_points_in_mm(
    suffix: str, field: SyntheticField, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_PROVIDERS", "CPUExecutionProvider")
    write_miniature(tmp_path / "models", make_points_card())
    folder = tmp_path / "input" / IMAGES
    folder.mkdir(parents=True)
    more: tuple[str, ...] = ()
    if suffix == ".mha":
        write_metaimage(folder / "case.mha", field.pixels, mpp=MPP, changed={"Offset": "1.5 -2"})
    else:
        Image.fromarray(field.pixels).save(folder / f"case{suffix}")
        more = ("--mpp", str(MPP))
    assert run(tmp_path, tmp_path / "models", *more)[0] == 0
    document = json.loads((tmp_path / "output" / FILE).read_bytes())
    assert document["version"] == {"major": 1, "minor": 0}
    shift = (1.5, -2.0) if suffix == ".mha" else (0.0, 0.0)
    for point in document["points"]:
        point["point"][:2] = [at - by for at, by in zip(point["point"][:2], shift, strict=True)]
    found = read_challenge_points(json.dumps(document), MPP, what="ours")
    assert all(p >= 0.5 for *_, p in found.counted)
    assert all(p < 0.5 for *_, p in found.below)
    boxes = field.mitotic_figures.astype(np.float64)
    true = (boxes[:, :2] + boxes[:, 2:]) / 2
    matched = match_centres(np.asarray(found.counted)[:, :2], true, MATCH_RADIUS_UM / MPP)
    assert 2 * len(matched) / (len(true) + len(found.counted)) >= 0.85


def test_none_or_several_pictures_are_refused_in_a_line(tmp_path: Path) -> None:
    write_miniature(tmp_path / "models", make_points_card())
    status, said = run(tmp_path, tmp_path / "models")
    assert (status, "must hold one picture" in said) == (1, True)
    assert not (tmp_path / "output" / FILE).exists()
