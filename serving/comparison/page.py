"""A comparison as one page that prints, with the places where two cascades disagree."""

import base64
from collections.abc import Callable, Iterator, Sequence
from html import escape

from serving.comparison.pair import Disagreement, Pair
from serving.comparison.summary import CategoryAgreement, Comparison, CountAgreement
from serving.exports.appendix_html import STYLE

SHOWN = 200
"""Disagreements with a picture on the page, the likeliest of each slide first."""
_GALLERY = """.gallery{display:flex;flex-wrap:wrap;gap:.6em;list-style:none;padding:0}.gallery li{width:136px}
.gallery img{width:128px;height:128px;background:#eee}.gallery span{display:block;font-size:12px}
.counts th{width:auto}"""

Thumbnail = Callable[[Pair, Disagreement], bytes]
"""A JPEG of 64 um around a place."""


def comparison_page(
    comparison: Comparison, pairs: Sequence[Pair], *, thumbnail: Thumbnail | None = None, gallery: str | None = None
) -> bytes:
    """HTML without scripts and without anything from elsewhere.

    pairs : those that the comparison sums up, and perhaps others, which are left out here too
    thumbnail : makes the pictures of disagreements, if the page shall hold them; gallery : address of a page that shows them
    """
    first, second = (escape(", ".join(models)) or "nothing yet" for models in (comparison.first, comparison.second))
    use, models = escape(comparison.research_use), (comparison.first, comparison.second)
    pairs = [pair for pair in pairs if (pair.first.models, pair.second.models) == models]
    body = "".join(_sections(comparison, pairs))
    if gallery is not None:
        body += f'<p><a href="{escape(gallery)}">Where they disagree, with pictures</a></p>'
    if thumbnail is not None:
        body += _pictures(pairs, thumbnail)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{first} and {second}</title>'
        f"<style>{STYLE}{_GALLERY}</style></head><body><main><h1>Two cascades on {comparison.slides} slides</h1>"
        f'<p class="use">{use}</p><p>First: {first}. Second: {second}.</p>{body}<p class="use">{use}</p></main></body></html>\n'
    )
    return page.encode()


def _sections(comparison: Comparison, pairs: Sequence[Pair]) -> Iterator[str]:
    places, scores = comparison.places, comparison.scores
    yield _table("Mitotic figures of a slide", _count_rows(comparison.figures))
    yield _table("Mitotic figures in the fullest hotspot", _count_rows(comparison.hotspot_figures))
    rows = [
        ("Figures of both, one-to-one within 7.5 um", str(places.both)),
        ("Of the first alone", str(places.only_first)),
        ("Of the second alone", str(places.only_second)),
        ("Agreement, 2 both / (first + second)", _number(places.agreement)),
        ("Mean overlap of the fullest hotspots (IoU)", _number(comparison.hotspot_iou)),
    ]
    rows += [(f"Disagreements: {kind}", str(number)) for kind, number in places.kinds.items()]
    yield _table("Places", rows)
    for categories in comparison.categories:
        yield _categories(categories)
    yield _table(
        "Sub-tile scores",
        [
            ("Mean of the first", _number(scores.mean_first)),
            ("Mean of the second", _number(scores.mean_second)),
            ("Population stability index", _number(scores.population_stability)),
            ("Kolmogorov-Smirnov distance", _number(scores.largest_gap)),
        ],
    )
    yield _slides(pairs)


def _count_rows(counts: CountAgreement) -> list[tuple[str, str]]:
    return [
        ("Pairs", str(counts.pairs)),
        ("Mean of the first", _number(counts.mean_first)),
        ("Mean of the second", _number(counts.mean_second)),
        ("Mean difference, second less first", _number(counts.mean_difference)),
        ("Limits of agreement (Bland and Altman)", f"{_number(counts.low)} to {_number(counts.high)}"),
        ("Concordance (Lin)", _number(counts.concordance)),
    ]


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in rows)
    return f"<section><h2>{escape(title)}</h2><table>{lines}</table></section>"


def _categories(found: CategoryAgreement) -> str:
    heads = ["first / second", *found.labels]
    rows = [[label, *map(str, row)] for label, row in zip(found.labels, found.table, strict=True)]
    title = f"Mitotic-count component, {found.profile}: kappa {_number(found.kappa)} (weighted by squared distance)"
    return f"<section><h2>{escape(title)}</h2>{_grid(heads, rows)}</section>"


def _slides(pairs: Sequence[Pair]) -> str:
    heads = ["slide", "first", "second", "both", "hotspot IoU", "component"]
    rows = [
        [
            pair.name,
            str(pair.first.mitotic_figures),
            str(pair.second.mitotic_figures),
            str(pair.matched),
            _number(pair.hotspot_iou),
            f"{pair.first.label or '-'} / {pair.second.label or '-'}",
        ]
        for pair in pairs
    ]
    return f"<section><h2>Slides</h2>{_grid(heads, rows)}</section>"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<table class="counts"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _pictures(pairs: Sequence[Pair], thumbnail: Thumbnail) -> str:
    places = [(pair, place) for pair in pairs for place in pair.disagreements]
    items = []
    for pair, place in places[:SHOWN]:
        picture = base64.b64encode(thumbnail(pair, place)).decode()
        said = f"{place.kind}: {_number(place.first)} / {_number(place.second)}"
        where = f"{pair.name}, x {place.x + place.width / 2:.0f}, y {place.y + place.height / 2:.0f}"
        items.append(
            f'<li><img alt="64 um around a place of {escape(pair.name)}" src="data:image/jpeg;base64,{picture}">'
            f"<span>{escape(said)}</span><span>{escape(where)}</span></li>"
        )
    more = f"<p>{len(places) - SHOWN} more are in the JSON.</p>" if len(places) > SHOWN else ""
    return f'<section><h2>Where they disagree</h2><ul class="gallery">{"".join(items)}</ul>{more}</section>'


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
