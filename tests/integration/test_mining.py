"""A run of the verifier names the nuclei that it takes for figures, and the next run is taught by them."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.datasets.store import Box, Dataset, write_store
from serving.synthetic.field import generate_field
from tests.unit.serving.datasets.pictures import picture
from training.cli.group import main

RECIPE = (
    'kind = "verifier"\nsteps = 4\nnuclei_per_field = 60\nbackbone = "micro"\nbatch = 1\nlearning_rate = 1e-3\n'
    'precision = "float32"\n[[draw]]\nlabel = "figure"\ncount = 2\n[[draw]]\nlabel = "other"\ncount = 3\n'
)


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    main()


@pytest.fixture
def stores(tmp_path: Path) -> list[Path]:
    """Two stores of one generated field each."""
    paths = []
    for number, name in enumerate(("first", "second")):
        made = generate_field(seed=number, width=500, height=500, mitoses_per_mm2=200, lookalikes_per_mm2=100)
        Image.fromarray(made.pixels).save(tmp_path / f"{name}.png")
        boxes: list[Box] = [(float(a), float(b), float(c), float(d)) for a, b, c, d in made.mitotic_figures]
        pictures = (picture(boxes, name=name, patient=name, size=(500, 500)),)
        store = Dataset(name=f"set-{name}", format="test", licence="none", root=str(tmp_path), pictures=pictures)
        write_store(store, tmp_path / f"{name}.json")
        paths.append(tmp_path / f"{name}.json")
    return paths


def test_mined_nuclei_lie_away_from_figures_and_are_what_the_next_run_draws(
    tmp_path: Path, stores: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v.toml").write_text(RECIPE)
    train = ("train", tmp_path / "v.toml", "--validation", 0)
    _run(monkeypatch, *train, "--data", *stores, "--out", tmp_path / "run")
    mined = tmp_path / "points.csv"
    _run(
        monkeypatch,
        "mine",
        tmp_path / "run",
        "--data",
        *stores,
        "--nuclei",
        60,
        "--hardest",
        8,
        "--others",
        4,
        "--out",
        mined,
    )
    rows = list(csv.DictReader(mined.read_text().splitlines()))
    by_picture = {name: [r for r in rows if r["picture"] == name] for name in ("set-first/first", "set-second/second")}
    for number, found in enumerate(by_picture.values()):
        assert len(found) == 12
        surest = [float(r["probability"]) for r in found]
        assert surest[:8] == sorted(surest[:8], reverse=True)
        assert min(surest[:8]) >= max(surest[8:])
        made = generate_field(seed=number, width=500, height=500, mitoses_per_mm2=200, lookalikes_per_mm2=100)
        centres = (made.mitotic_figures[:, :2] + made.mitotic_figures[:, 2:]) / 2
        places = np.asarray([(float(r["x"]), float(r["y"])) for r in found])
        assert np.hypot(*(places[:, None] - centres[None]).transpose(2, 0, 1)).min() >= 7.5 / 0.25
    # The same file serves a run on one of the stores alone, and a run on neither is refused.
    (tmp_path / "v.toml").write_text(f'points = "{mined}"\n' + RECIPE)
    _run(monkeypatch, *train, "--data", stores[0], "--out", tmp_path / "next")
    mined.write_text("picture,x,y\nelsewhere/first,10,10\n")
    with pytest.raises(SystemExit, match="names none of the 1 pictures"):
        _run(monkeypatch, *train, "--data", stores[0], "--out", tmp_path / "refused")
