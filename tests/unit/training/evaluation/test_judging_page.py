"""What docs/judging.md shows of a fold's file is what is read."""

import re
from pathlib import Path

from serving.evaluation.threshold_rules import THRESHOLD_RULES
from training.evaluation.calibrations import CALIBRATIONS
from training.evaluation.fold_detections import FoldDetections

PAGE = (Path(__file__).parents[4] / "docs/judging.md").read_text()


def test_the_shown_file_is_read() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(FoldDetections.model_validate_json(shown).pictures[0].detections) == 2


def test_the_named_rule_and_file_are_there() -> None:
    assert "flat-f1" in PAGE
    assert "flat-f1" in THRESHOLD_RULES
    assert "platt" in CALIBRATIONS
    for name in ("serving/evaluation/threshold_rules.py", "training/evaluation/calibrations.py"):
        assert Path(name).name in PAGE
        assert (Path(__file__).parents[4] / name).is_file()
