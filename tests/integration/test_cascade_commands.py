"""Any store can train the cascade's models, judge them and reach a release by the commands; on generated tissue."""

import json
import sys
from pathlib import Path

import pytest
import torch

from serving.scoring.onnx_detector import load_detector
from serving.wsi.modelcard import load_card
from training.cli.group import main
from training.data.store import write_store
from training.paper.scale_data import generated

pytestmark = pytest.mark.integration

COMMON = """
backbone = "micro"
batch = 2
learning_rate = 1e-3
precision = "float32"
clip_norm = 5.0
"""
CASCADE = 'kind = "cascade"\nwindows = 4\n' + COMMON + "\n[mix]\nevent = 1.0\nbackground = 1.0\n"
VERIFIER = (
    'kind = "verifier"\nsteps = 4\nnuclei_per_field = 60\naveraging = 0.9\naveraging_warmup = true\n'
    + COMMON
    + '\n[[draw]]\nlabel = "figure"\ncount = 2\n\n[[draw]]\nlabel = "other"\ncount = 3\n'
    + "\n[mining]\nat = [0, 2]\ncap = 0.8\n\n[geometry]\nwindow_px = 96\n"
)


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["training", *map(str, words)])
    main()


def _spread(weights: Path) -> None:
    """Make a Det that hardly learnt tell boxes apart: equal probabilities have no order that two runtimes share."""
    state = torch.load(weights, weights_only=True)
    for name, factor in (
        ("det.rpn.head.cls_logits.weight", 20),
        ("det.rpn.head.bbox_pred.weight", 30),
        ("det.roi.box_predictor.cls_score.weight", 10),
        ("det.roi.box_predictor.bbox_pred.weight", 30),
    ):
        state[name] *= factor
    torch.save(state, weights)


@pytest.mark.timeout(600)  # a minute alone, several beside other work
def test_from_a_store_to_a_released_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    store = tmp_path / "store.json"
    write_store(generated(tmp_path / "data", patients=2, tests=1, side=1000), store)
    for name, recipe in (("cascade", CASCADE), ("verifier", VERIFIER)):
        (tmp_path / f"{name}.toml").write_text(recipe)
        _run(monkeypatch, "train", tmp_path / f"{name}.toml", "--data", store, "--validation", 0,
             "--test-patients", "test-02", "--out", tmp_path / name)  # fmt: skip
    _spread(tmp_path / "cascade" / "model.pt")
    assert {p.name for p in (tmp_path / "verifier").glob("renewed-*.pt")} == {"renewed-0.pt", "renewed-2.pt"}
    with pytest.raises(SystemExit, match="never saw train-00"):
        _run(monkeypatch, "leave-one-slide-out", tmp_path / "cascade", "--data", store, "--verifier", tmp_path / "verifier",
             "--screening", 0.1, "--out", tmp_path / "e.json")  # fmt: skip

    dataset = json.loads(store.read_text())
    unseen = tmp_path / "unseen.json"
    dataset["pictures"] = [p for p in dataset["pictures"] if p["patient"] == "test-02"]
    unseen.write_text(json.dumps(dataset))
    _run(monkeypatch, "leave-one-slide-out", tmp_path / "cascade", "--data", unseen, "--verifier", tmp_path / "verifier",
         "--screening", 0.0, 9.0, "--out", tmp_path / "evaluation.json")  # fmt: skip
    judged = json.loads((tmp_path / "evaluation.json").read_text())
    assert (judged["data"], judged["pictures"]) == ("generated tissue", 1)
    _run(monkeypatch, "release", tmp_path / "cascade", "--data", store, "--verifier", tmp_path / "verifier",
         "--evaluation", tmp_path / "evaluation.json", "--models", tmp_path / "models", "--version", "0.1.0")  # fmt: skip
    detector = load_detector(tmp_path / "models", providers=["CPUExecutionProvider"])
    assert detector.verification_card is not None
    assert detector.verification_card.input.window_px == 96
    for name in ("reg-ns", "det", "verifier"):
        card = load_card(tmp_path / "models" / name / "0.1.0")
        said = " ".join(f"{source.name} {source.use} {source.licence}" for source in card.data)
        assert "2 pictures of 2 patients" in said
        assert "CC0-1.0" in said
        assert "seed 0" in said
        assert "generated tissue" in card.evaluation
