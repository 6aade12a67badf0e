"""Write the published JSON Schemas from their classes: `python -m serving.exports.schemas`."""

import json
from pathlib import Path

from pydantic import BaseModel

from serving.core.modelcard import ModelCard
from serving.core.report import Report

_SERVING = Path(__file__).parents[1]
SCHEMAS: dict[Path, type[BaseModel]] = {
    _SERVING / "report.schema.json": Report,
    _SERVING.parent / "models" / "card.schema.json": ModelCard,
}


def schema_text(model: type[BaseModel]) -> str:
    """The JSON Schema (2020-12) of a class, as it is published."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    for path, model in SCHEMAS.items():
        path.write_text(schema_text(model))
