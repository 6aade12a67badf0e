"""`mitoserve models compare`: two cascades on slides, or what a shadow has gathered."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import click
from PIL import Image

from serving.cli.server_state import ServerState, open_server_state
from serving.comparison.page import comparison_page
from serving.comparison.pair import NEARLY, Disagreement, Pair, compare
from serving.comparison.summary import Comparison, summarise
from serving.core.geometry import Region
from serving.core.options import ScoringOptions
from serving.core.words import RESEARCH_USE
from serving.jobs.shadows import ShadowRecord
from serving.scoring.analysis import Analysis
from serving.scoring.detector import counting_threshold, list_cards
from serving.scoring.onnx_detector import ReleasedDetector
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from serving.store.shared_folder_store import open_folder_store

SHOWN_UM = 64.0
"""Side of what is shown of a place, as in the viewer."""
THUMBNAIL_PX = 128


@click.command(name="compare")
@click.argument("words", nargs=-1, metavar="[FIRST SECOND --slides SLIDE...]")
@click.option("--slides", is_flag=True, help="What follows are slides to score with both.")
@click.option("--shadow", "number", type=int, help="What this shadow gathered; by default the latest.")
@click.option("--mpp", type=float, help="Microns per level-0 px, where slides state none.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for comparison.json, pairs.json and a page."
)
def compare_cascades(
    *, words: tuple[str, ...], slides: bool, number: int | None, mpp: float | None, out: Path | None
) -> None:
    """Compare two cascades on slides, or what a shadow has gathered where none are named.

    FIRST and SECOND: one number of all models, versions such as det@1.2.0,reg-ns@1.2.0, of which what serves does the rest,
    or `serving`.
    """
    if slides != (len(words) > 2) or (words and (not slides or number is not None)):
        raise click.UsageError("write FIRST SECOND --slides SLIDE..., or --shadow NUMBER")
    with open_server_state() as server:
        if slides:
            paths = [Path(word) for word in words[2:]]
            pairs = _score_pairs(server, words[0], words[1], paths, mpp)
        else:
            paths, pairs = [], _gather_pairs(server, number)
    found = summarise(pairs)
    _print_comparison(found)
    if out is not None:
        _write(found, pairs, paths, out)


def _score_pairs(server: ServerState, first: str, second: str, paths: Sequence[Path], mpp: float | None) -> list[Pair]:
    """Each slide scored with both; raises `MitoserveError`."""
    cascades = [server.registry.load(server.registry.complete(name.split(","))) for name in (first, second)]
    pairs = []
    for path in paths:
        click.echo(f"{path.name} ...", err=True)
        analyses = [_with_faint(path, detector, mpp) for detector in cascades]
        pairs.append(
            compare(
                *analyses,
                thresholds=(counting_threshold(list_cards(cascades[0])), counting_threshold(list_cards(cascades[1]))),
            )
        )
    return pairs


def _with_faint(path: Path, detector: ReleasedDetector, mpp: float | None) -> Analysis:
    """The analysis with detections that do not count, to tell what moved over the threshold."""
    with open_slide(path) as slide:
        return score_slide(
            slide, detector, ScoringOptions(mpp=mpp, threshold=NEARLY * counting_threshold(list_cards(detector)))
        )


def _gather_pairs(server: ServerState, number: int | None) -> list[Pair]:
    """What a shadow has gathered; raises `MitoserveError`."""
    shadows = server.registry.shadows
    known = [shadows.get(number)] if number is not None else shadows.latest()[:1]
    if not known:
        raise click.ClickException(
            "no shadow has run; `mitoserve models shadow` starts one, or name two cascades and slides"
        )
    return [
        pair for _, pair in ShadowRecord(server.database, open_folder_store(server.settings)).pairs(known[0].number)
    ]


def _print_comparison(found: Comparison) -> None:
    places, figures = found.places, found.figures
    click.echo(f"first {', '.join(found.first) or '-'}; second {', '.join(found.second) or '-'}; {found.slides} slides")
    rows = {
        "mean mitotic figures": f"{_number(figures.mean_first)} and {_number(figures.mean_second)}",
        "mean difference": f"{_number(figures.mean_difference)}, limits of agreement {_number(figures.low)} to "
        f"{_number(figures.high)}, concordance {_number(figures.concordance)}",
        "places": f"{places.both} of both, {places.only_first} of the first alone, {places.only_second} of the second alone; "
        f"agreement {_number(places.agreement)}",
        "hotspots": f"mean overlap {_number(found.hotspot_iou)}",
        "scores": f"stability index {_number(found.scores.population_stability)}, largest gap "
        f"{_number(found.scores.largest_gap)}",
    }
    rows |= {f"categories, {c.profile}": f"kappa {_number(c.kappa)}" for c in found.categories}
    for name, text in rows.items():
        click.echo(f"{name}: {text}")
    click.echo(RESEARCH_USE)


def _write(found: Comparison, pairs: Sequence[Pair], paths: Sequence[Path], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.json").write_text(found.model_dump_json(indent=1))
    (out / "pairs.json").write_text(json.dumps([pair.model_dump(mode="json") for pair in pairs], indent=1))
    files = dict(zip((pair.slide for pair in pairs), paths, strict=False))

    def thumbnail(pair: Pair, place: Disagreement) -> bytes:
        return _thumbnail(files[pair.slide], pair, place)

    (out / "comparison.html").write_bytes(comparison_page(found, pairs, thumbnail=thumbnail if paths else None))
    click.echo(f"comparison.json, pairs.json and comparison.html are in {out}")


def _thumbnail(path: Path, pair: Pair, place: Disagreement) -> bytes:
    side = round(SHOWN_UM / pair.mpp)
    x, y = round(place.x + place.width / 2 - side / 2), round(place.y + place.height / 2 - side / 2)
    buffer = io.BytesIO()
    with open_slide(path) as slide:
        Image.fromarray(slide.read(Region(x, y, side, side), THUMBNAIL_PX, THUMBNAIL_PX)).save(
            buffer, "JPEG", quality=85
        )
    return buffer.getvalue()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
