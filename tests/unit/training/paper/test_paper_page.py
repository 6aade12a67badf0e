"""What docs/paper.md points at is there."""

import re
from pathlib import Path

import pytest

from training.recipes.sub_tiles import SubTileRecipe

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs/paper.md").read_text()


def test_every_file_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`((?:training|tests)/[\w./-]+)`", PAGE))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_the_settled_contradictions_are_complete() -> None:
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(n) for n in range(1, 20)]


@pytest.mark.parametrize(
    "name", ["negatives_ratio", "negatives_count", "exclude_ambiguous_negatives", "redraw_negatives"]
)
def test_recipe_fields_that_the_page_names_exist(name: str) -> None:
    assert f"`{name}`" in PAGE
    assert name in SubTileRecipe.model_fields
