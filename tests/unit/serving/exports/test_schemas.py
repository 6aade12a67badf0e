import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
from pydantic import BaseModel

from serving.core.report import Report
from serving.exports.report_json import to_json
from serving.exports.schemas import SCHEMAS, schema_text
from serving.scoring.analysis import Analysis
from tests.fakes import make_cards


@pytest.mark.parametrize(("path", "model"), SCHEMAS.items(), ids=lambda v: v.name if isinstance(v, Path) else "")
def test_published_schemas_are_those_of_the_classes(path: Path, model: type[BaseModel]) -> None:
    assert path.read_text() == schema_text(model), "run `make schemas`"
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))


def _schema(model: type[BaseModel]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(schema_text(model)))


def test_a_report_validates_and_comes_back(analysis: Analysis) -> None:
    text = to_json(analysis)
    _schema(Report).validate(json.loads(text))
    assert Report.model_validate_json(text) == analysis.report


def test_a_report_with_a_field_too_many_or_too_few_does_not(analysis: Analysis) -> None:
    report = json.loads(to_json(analysis))
    without = {key: value for key, value in report.items() if key != "counts"}
    for wrong in ({**report, "positive_sub_tiles": 3}, without, {**report, "research_use": "clinical use"}):
        with pytest.raises(jsonschema.ValidationError):
            _schema(Report).validate(wrong)


def test_cards_validate() -> None:
    for path, model in SCHEMAS.items():
        if path.name == "card.schema.json":
            for card in make_cards():
                _schema(model).validate(json.loads(card.model_dump_json()))
