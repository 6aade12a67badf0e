"""Write the published JSON Schema of recipes from their classes: `python -m training.recipes.schemas`."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from training.recipes.registry import KINDS

PATH = Path(__file__).with_name("recipe.schema.json")


def schema_text() -> str:
    """The JSON Schema (2020-12) of a recipe of any kind, as it is published."""
    union: Any = None
    for name in sorted(KINDS):
        kind = KINDS[name]
        union = kind if union is None else union | kind
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(union).json_schema()}
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(schema_text())
