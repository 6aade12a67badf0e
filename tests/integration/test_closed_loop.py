"""docs/models.md, "From corrections to a better model", with its commands: what reviewers rejected is not found again.

Reg-NS learns; Det is a graph that boxes the darkest place of a sub-tile, so that what Reg-NS passes is what a report shows.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from serving.cli import main as mitoserve
from serving.datasets.store import Annotation, Dataset, Picture, write_store
from serving.synthetic.field import generate_field
from tests.fakes import make_cards
from tests.quick_models import darkest_place, write_quick_model
from tests.server_process import ServerProcess
from training.cli.group import main as training

pytestmark = pytest.mark.integration

SIDE_PX = 1000
NEAR_PX = 30.0
"""7.5 um, within which the project's evaluations match centres."""
FOOLED = """
backbone = "micro"
side = 125
batch = 16
epochs = 16
step_epochs = 13
learning_rate = 2e-3
augmentation = "stain-safe"
"""
CORRECTED = """
batch = 16
epochs = 10
step_epochs = 8
learning_rate = 1e-3
augmentation = "stain-safe"
hard_share = 0.75
negatives_ratio = 2.0
"""


@dataclass(frozen=True, slots=True)
class Tissue:
    """A generated picture and where things are in it: centres, float, shape (N, 2), px."""

    path: Path
    figures: NDArray[np.float64]
    lookalikes: NDArray[np.float64]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    """A server whose Reg-NS was taught by a crowd that boxed every look-alike."""
    crowd = tmp_path / "crowd"
    store = _store(crowd, [_tissue(crowd, seed) for seed in range(100, 106)], crowd=True)
    (tmp_path / "fooled.toml").write_text(FOOLED)
    train("train", "Reg-NS", "--data", store, "--preset", "paper", "--init", "none",
          "--overrides", tmp_path / "fooled.toml", "--validation", 0.25, "--out", tmp_path / "fooled")  # fmt: skip
    models = tmp_path / "models"
    train("export", tmp_path / "fooled", "--data", store, "--out", models / "reg-ns" / "0.1.0")
    _, det = make_cards(detection=0.3)
    write_quick_model(models, det.model_copy(update={"version": "0.1.0"}), darkest_place())
    process = ServerProcess(tmp_path, models, providers="CPUExecutionProvider").start()
    for name, value in {"STATE": process.state, "MODELS": models, "PROVIDERS": "CPUExecutionProvider"}.items():
        monkeypatch.setenv(f"MITOSIS_{name}", str(value))
    yield process
    process.stop()


def test_named_errors_are_gone_and_recall_is_kept(server: ServerProcess, tmp_path: Path) -> None:
    reviewed = [_tissue(tmp_path / "reviewed", seed) for seed in range(200, 204)]
    unseen = [_tissue(tmp_path / "unseen", seed) for seed in range(300, 302)]
    before = [_analyse(server, tissue) for tissue in reviewed]
    for tissue, analysis in zip(reviewed, before, strict=True):
        _review(server, tissue, analysis)
        corrections = server.client.get(f"{analysis}/corrections").raise_for_status().json()
        corrections["features"].append(_whole_picture())
        tissue.path.with_suffix(".geojson").write_text(json.dumps(corrections))

    store = tmp_path / "corrections.json"
    train("import", "qupath", tmp_path / "reviewed", "--mpp", 0.25, "--out", store)
    (tmp_path / "corrected.toml").write_text(CORRECTED)
    train("train", "Reg-NS", "--data", store, "--preset", "paper", "--start", tmp_path / "fooled" / "model.pt",
          "--overrides", tmp_path / "corrected.toml", "--validation", 0.34, "--out", tmp_path / "corrected")  # fmt: skip
    truth = _store(tmp_path / "unseen", unseen, crowd=False)
    train("evaluate", tmp_path / "corrected", "--data", truth, "--out", tmp_path / "evaluation")
    new = tmp_path / "new" / "reg-ns" / "0.2.0"
    train("export", tmp_path / "corrected", "--data", store, "--out", new)
    models("add", new)
    models("verify", "reg-ns@0.2.0")
    models("shadow", "reg-ns@0.2.0", "det@0.1.0", "--share", 1)
    unseen_before = [_analyse(server, tissue) for tissue in unseen]
    server.wait_until(lambda: _run_shadow(server).get("succeeded") == len(unseen), 150)
    places = server.client.get("/v1/registry/shadows/1/disagreements").raise_for_status().json()["places"]
    assert places  # what the candidate would change is seen before it counts
    assert "is stopped" in models("shadow", "--stop")
    models("promote", "reg-ns@0.2.0", "det@0.1.0")
    server.wait_until(lambda: "0.2.0" in {m["version"] for m in server.client.get("/v1/models").json()["models"]}, 150)

    after = [_analyse(server, tissue) for tissue in reviewed]
    unseen_after = [_analyse(server, tissue) for tissue in unseen]
    named = [
        (place, _find(server, now))
        for tissue, past, now in zip(reviewed, before, after, strict=True)
        for place in _find(server, past)
        if not _near(place, tissue.figures)
    ]
    print(
        "NAMED",
        len(named),
        sum(not _near(place, found) for place, found in named),
        [
            _recall(server, t, a)
            for t, a in ((reviewed, before), (reviewed, after), (unseen, unseen_before), (unseen, unseen_after))
        ],
        [_errors(server, unseen, a) for a in (unseen_before, unseen_after)],
    )
    assert len(named) >= 15
    assert sum(not _near(place, found) for place, found in named) >= 0.6 * len(named)
    assert _recall(server, reviewed, after) >= _recall(server, reviewed, before) - 0.05
    # It did not learn those places by heart: pictures that nobody reviewed have fewer errors too.
    assert _errors(server, unseen, unseen_after) <= 0.5 * _errors(server, unseen, unseen_before)
    assert _recall(server, unseen, unseen_after) >= _recall(server, unseen, unseen_before) - 0.05


def train(*words: object) -> None:
    """`python -m training ...` in this process."""
    before, sys.argv = sys.argv, ["training", *map(str, words)]
    try:
        training()
    finally:
        sys.argv = before


def models(*words: object) -> str:
    """`mitoserve models ...` in this process; what it printed."""
    result = CliRunner().invoke(mitoserve, ["models", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def _tissue(folder: Path, seed: int) -> Tissue:
    folder.mkdir(exist_ok=True)
    field = generate_field(seed=seed, width=SIDE_PX, height=SIDE_PX, mitoses_per_mm2=90, lookalikes_per_mm2=90)
    path = folder / f"{seed}.png"
    Image.fromarray(field.pixels).save(path, compress_level=1)
    return Tissue(
        path,
        *(_centres(np.asarray(boxes, float).reshape(-1, 4)) for boxes in (field.mitotic_figures, field.lookalikes)),
    )


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _store(folder: Path, tissues: list[Tissue], *, crowd: bool) -> Path:
    """A store of labelled pictures; a crowd takes every look-alike for a figure."""
    pictures = []
    for tissue in tissues:
        name, figures, alike = tissue.path.stem, tissue.figures, tissue.lookalikes
        labels = ["mitotic figure"] * len(figures) + ["mitotic figure" if crowd else "look-alike"] * len(alike)
        boxes = [_box(place) for place in (*figures, *alike)]
        annotations = [
            Annotation(box=box, label=label, agreement=float(label == "mitotic figure"))  # type: ignore[arg-type]
            for box, label in zip(boxes, labels, strict=True)
        ]
        pictures.append(
            Picture(
                id=name,
                path=f"{name}.png",
                width=SIDE_PX,
                height=SIDE_PX,
                mpp=0.25,
                slide=name,
                patient=name,
                annotations=tuple(annotations),
            )
        )
    store = folder.with_suffix(".json")
    write_store(
        Dataset(name=folder.name, format="test", licence="none", root=str(folder), pictures=tuple(pictures)), store
    )
    return store


def _box(place: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """32 px around a place, inside the picture."""
    x1, y1, x2, y2 = (float(v) for v in np.concatenate([place - 16, place + 16]).clip(0, SIDE_PX))
    return x1, y1, x2, y2


def _analyse(server: ServerProcess, tissue: Tissue) -> str:
    """Address of the analysis of a picture, once it has succeeded."""
    content = tissue.path.read_bytes()
    slide = (
        server.client.put(f"/v1/slides?filename={tissue.path.name}", content=content).raise_for_status().json()["id"]
    )
    wanted = {"slide": slide, "options": {"mpp": 0.25, "min_tissue_fraction": 0}}
    address = str(server.client.post("/v1/analyses", json=wanted).raise_for_status().headers["location"])
    server.wait_until(lambda: server.client.get(address).json()["state"] == "succeeded", 300)
    return address


def _run_shadow(server: ServerProcess) -> dict[str, int]:
    """Analyses of the latest shadow by their state."""
    (shadow,) = server.client.get("/v1/registry/shadows").raise_for_status().json()["shadows"]
    counts: dict[str, int] = shadow["analyses"]
    return counts


def _review(server: ServerProcess, tissue: Tissue, analysis: str) -> None:
    """What a reviewer who knows the truth says: every detection is judged, every figure that was missed is in.

    A missed one that the model saw below its threshold is accepted, one that it did not see is added.
    """
    found, possible = _find(server, analysis), _find(server, analysis, "candidates")
    for index, place in enumerate(found):
        action = "accept" if _near(place, tissue.figures) else "reject"
        _say(server, analysis, {"action": action, "target": f"detection-{index}"})
    for x, y in tissue.figures:
        if _near(np.asarray((x, y)), found):
            continue
        if _near(np.asarray((x, y)), possible):
            nearest = int(np.hypot(*(possible - (x, y)).T).argmin())
            _say(server, analysis, {"action": "accept", "target": f"candidate-{nearest}"})
        else:
            box = {"x": max(x - 16, 0), "y": max(y - 16, 0), "width": 32, "height": 32}
            _say(server, analysis, {"action": "add", "box": box})


def _say(server: ServerProcess, analysis: str, entry: dict[str, Any]) -> None:
    server.client.post(f"{analysis}/reviews", json=entry).raise_for_status()


def _whole_picture() -> dict[str, Any]:
    """What a reviewer draws in QuPath who has looked at all of a field, not at the candidates alone."""
    ring = [[0, 0], [SIDE_PX, 0], [SIDE_PX, SIDE_PX], [0, SIDE_PX], [0, 0]]
    named = {"objectType": "annotation", "classification": {"name": "Reviewed area"}}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": named}


def _find(server: ServerProcess, analysis: str, listed: str = "detections") -> NDArray[np.float64]:
    """Centres of what a report shows, float, shape (N, 2). listed : `detections`, or `candidates` below the threshold."""
    report = server.client.get(f"{analysis}/report").raise_for_status().json()
    return np.asarray([(d["x"] + d["width"] / 2, d["y"] + d["height"] / 2) for d in report[listed]]).reshape(-1, 2)


def _near(place: NDArray[np.float64], places: NDArray[np.float64]) -> bool:
    return bool(len(places) and (np.hypot(*(places - place).T) <= NEAR_PX).any())


def _recall(server: ServerProcess, tissues: list[Tissue], analyses: list[str]) -> float:
    """Share of all figures that the reports show."""
    pairs = [(tissue, _find(server, analysis)) for tissue, analysis in zip(tissues, analyses, strict=True)]
    return float(np.mean([_near(place, found) for tissue, found in pairs for place in tissue.figures]))


def _errors(server: ServerProcess, tissues: list[Tissue], analyses: list[str]) -> int:
    """How much the reports show that is no figure."""
    pairs = [(tissue, _find(server, analysis)) for tissue, analysis in zip(tissues, analyses, strict=True)]
    return sum(not _near(place, tissue.figures) for tissue, found in pairs for place in found)
