"""`mitoserve models choose-threshold`: a detector whose threshold was set too high finds figures again."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from serving.cli.choose_threshold import choose_threshold
from serving.core.card_parts import DetectionThreshold
from serving.core.modelcard import load_card
from tests.labelled_fields import MPP, write_midog
from tests.miniatures.cards import CHOSEN, make_points_card, write_miniature
from tests.quick_models import write_quick_models

pytestmark = pytest.mark.integration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(choose_threshold, [str(argument) for argument in arguments])


def test_a_threshold_is_chosen_and_becomes_another_version(tmp_path: Path) -> None:
    data = write_midog(tmp_path / "midog++", broken="003")
    blind = make_points_card(detection_threshold=DetectionThreshold(probability=0.9999, **CHOSEN))
    folder = write_miniature(tmp_path / "models", blind)
    made = run(folder, "--labelled", data, "--mpp", MPP, "--as", "0.0.2")
    assert made.exit_code == 0, made.output
    assert "003 is left out" in made.output
    card = load_card(tmp_path / "models" / "points" / "0.0.2")
    assert card.sha256() == blind.model_copy(update={"files": load_card(folder).files}).sha256()
    assert card.detection_threshold is not None
    assert 0.05 < card.detection_threshold.probability < 0.99
    assert "2 pictures" in card.detection_threshold.data
    score = float(card.detection_threshold.achieved.split()[1])
    assert score > 0.85
    assert card.detection_threshold.achieved in " ".join(made.output.split())
    again = run(folder, "--labelled", data, "--mpp", MPP, "--as", "0.0.2")
    assert again.exit_code == 1
    assert "versions never change" in again.output


def test_what_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    data = write_midog(tmp_path / "midog++")
    write_quick_models(tmp_path / "models")
    cascade = run(tmp_path / "models" / "det" / "0.0.1", "--labelled", data, "--mpp", MPP, "--as", "0.0.2")
    assert cascade.exit_code == 1
    assert "model of a cascade" in " ".join(cascade.output.split())
    folder = write_miniature(tmp_path / "models", make_points_card())
    (tmp_path / "empty").mkdir()
    nothing = run(folder, "--labelled", tmp_path / "empty", "--as", "0.0.2")
    assert nothing.exit_code == 1
    assert not (tmp_path / "models" / "points" / "0.0.2").exists()
