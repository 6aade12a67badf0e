import json
from pathlib import Path

from PIL import Image

from tests.unit.training.evaluation.test_judge import picture, several
from training.evaluation.judge import judge
from training.evaluation.judgement import Judgement
from training.evaluation.judgement_tables import card_figures, markdown, write_judgement


def test_json_table_and_picture_are_written(tmp_path: Path) -> None:
    judged = judge([*several(), picture("x|y")], draws=20)
    write_judgement(judged, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert Judgement.model_validate_json((folder / "judgement.json").read_bytes()) == judged
    assert "Research Use Only" in json.loads((folder / "judgement.json").read_text())["research_use"]
    with Image.open(folder / "judgement.png") as image:
        assert min(image.size) > 800
    text = (folder / "judgement.md").read_text()
    assert "Research Use Only" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in tables}
    assert widths == {5, 11, 13}, "a group's name with a bar in it makes no cell"


def test_a_card_states_pooled_and_each_source() -> None:
    judged = judge(several(), draws=20)
    figures = card_figures(judged)
    assert figures["cross_validated_pooled_f1"] == round(judged.pooled.f1.value or 0, 4)
    assert {name.split("_")[2] for name in figures} == {"pooled", "one", "two"}
    assert figures["cross_validated_pooled_counts_within_25_percent"].__class__ is str
    assert f"{judged.pooled.f1.value:.3f}" in markdown(judged)
