"""Generated slides have the tissue that was asked for, and what is printed of turns follows from them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.modes import Turn, cut_block, describe, main, make_slide
from serving.core.options import ScoringOptions
from serving.scoring.plan import make_plan
from serving.slides.opening import open_slide
from tests.fakes import make_cards
from tests.samples import noise


def _turn(mode: str, wall: float, first: float | None) -> Turn:
    parts = {"plan": wall / 4, "rest": wall / 4}
    return Turn("s.tif", "CPUExecutionProvider", mode, wall, 2 * wall, wall / 1.25, 0.1, parts, first, 10, 100, 3, 0.5)


@pytest.mark.parametrize(("share", "tiles"), [(5, 1), (30, 9), (100, 16)])
def test_a_generated_slide_has_the_share_of_tissue_rounded_up_to_a_square(
    tmp_path: Path, share: int, tiles: int
) -> None:
    with open_slide(make_slide(tmp_path, f"4000:{share}", noise(1024, 1024))) as slide:
        assert (slide.width, slide.height, slide.mpp) == (4000, 4000, 0.25)
        plan = make_plan(slide, ScoringOptions(), make_cards()[0].input)
        assert sum(tile.tissue_fraction > 0.9 for tile in plan.tiles) == tiles
        assert np.isclose(cut_block(Path(tmp_path / f"generated-4000-{share}.tif"), None).shape[0], 4000)


def test_a_line_states_ratios_and_when_a_hotspot_was_known() -> None:
    line = describe([_turn("exact", 8.0, 4.0), _turn("fast", 2.0, None)])
    assert "exact over fast 4.00 by wall" in line
    assert "exact: first hotspot after 0.50 of the time, 1.25 times" in line
    assert "fast: no hotspot before the end" in line
    assert line.endswith("plan 0.25, rest 0.25")
    assert "fast alone 2.0 s, 4.00 a mm2" in describe([_turn("fast", 2.0, 1.0)])


@pytest.mark.parametrize("arguments", [[], ["--generated", "10000:5"], ["--tissue", "s.tif"]])
def test_slides_or_tissue_must_be_given(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
