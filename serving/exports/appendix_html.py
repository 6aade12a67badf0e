"""appendix.html: the technical appendix of the report, with the map inside."""

import base64
from html import escape

from serving.exports.appendix import sections
from serving.exports.export import EXPORTS, Export, whole
from serving.exports.map_picture import to_png
from serving.scoring.analysis import Analysis

STYLE = """body{font:14px/1.45 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#191920}
h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.1em;margin:1.4em 0 .3em}img{max-width:100%}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.2em .6em .2em 0;
border-bottom:1px solid #ddd;overflow-wrap:anywhere}th{width:34%;font-weight:600}.use{color:#a01e1e;font-weight:600}
@media print{body{margin:0}section{break-inside:avoid}}"""
"""Of pages that print."""


def to_html(analysis: Analysis) -> bytes:
    """A page without scripts and without anything from elsewhere."""
    report = analysis.report
    name, use = escape(report.slide.name), escape(report.research_use)
    picture = base64.b64encode(to_png(analysis)).decode()
    tables = "".join(
        f"<section><h2>{escape(part.title)}</h2><table>"
        + "".join(f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in part.rows)
        + "</table></section>"
        for part in sections(report)
    )
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}: technical appendix</title><style>{STYLE}</style></head>'
        f'<body><main><h1>{name}: technical appendix</h1><p class="use">{use}</p>{tables}'
        f'<img alt="Mitosis map of {name}" src="data:image/png;base64,{picture}"><p class="use">{use}</p></main></body></html>\n'
    )
    return page.encode()


EXPORTS.add(
    "appendix-html",
    Export(
        "appendix.html",
        "appendix.html",
        "application/vnd.mitoserve.appendix+html",
        whole(to_html),
        shows_review=True,
        rank=21,
    ),
)
