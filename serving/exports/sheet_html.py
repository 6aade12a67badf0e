"""report.html: the one page that is signed. It prints on one sheet of A4, and has its pictures inside."""

import base64
import io
from html import escape

from PIL import Image

from serving.exports.export import EXPORTS, Export, whole
from serving.exports.sheet import Sheet, make_sheet
from serving.exports.sheet_pictures import SheetPictures, draw_pictures
from serving.scoring.analysis import Analysis

STYLE = """@page{size:A4;margin:11mm 12mm}
.sheet{font:9pt/1.3 "Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;color:#16181d;background:#fff;width:186mm;min-height:270mm;margin:0 auto;
display:flex;flex-direction:column;box-sizing:border-box}
.sheet *{box-sizing:border-box}.sheet h1{font-size:15pt;line-height:1.15;margin:0;letter-spacing:0;overflow-wrap:anywhere;color:inherit}
.sheet p{margin:0}.sheet .head{display:flex;justify-content:space-between;gap:6mm;align-items:flex-end;border-bottom:.5mm solid #16181d;padding-bottom:1.5mm}
.sheet .head div{min-width:0}.sheet .kind{font-size:8pt;letter-spacing:.08em;text-transform:uppercase;color:#50565f}
.sheet .research{color:#a01e1e;font-weight:700;text-align:right;flex:none;width:52mm;font-size:8.5pt}
.sheet dl{display:grid;grid-template-columns:26mm 1fr;margin:2mm 0 2.5mm;gap:.3mm 2mm}.sheet dt{color:#50565f;margin:0}.sheet dd{margin:0;overflow-wrap:anywhere}
.sheet table{border-collapse:collapse;width:100%;font-size:9pt}.sheet th,.sheet td{text-align:right;padding:.5mm 1.5mm;border-bottom:.2mm solid #c9cdd3;font-weight:400;vertical-align:baseline}
.sheet th:first-child{text-align:left;width:42%}.sheet thead th{border-bottom:.4mm solid #16181d;color:#50565f;overflow-wrap:anywhere}
.sheet tr.strong td{font-size:15pt;font-weight:700;line-height:1.15}.sheet tr.strong th{font-weight:700}
.sheet .notes{font-size:8.5pt;color:#30353d;margin-top:1.2mm}.sheet .pictures{display:flex;gap:3mm;height:58mm;margin-top:2.5mm;align-items:flex-start}
.sheet figure{margin:0;min-width:0;max-height:58mm}.sheet .pictures figure{width:91.5mm}.sheet .pictures img{max-width:100%;max-height:53mm;border:.2mm solid #9aa0a8;display:block}
.sheet figcaption{font-size:7.5pt;color:#50565f;line-height:1.25;margin-top:.5mm}
.sheet .crops{display:grid;grid-template-columns:repeat(6,1fr);gap:1.5mm 2.4mm;margin-top:2mm}.sheet .crops img,.sheet .crops .blank{width:29mm;height:23mm;object-fit:cover;display:block;border:.2mm solid #9aa0a8}
.sheet .crops .blank{background:#eef0f2}.sheet .crops figcaption{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.sheet .warnings{margin:2mm 0 0;padding:1mm 2mm;border-left:1mm solid #b46a00;font-size:8pt;list-style:none;background:#fff8ec}.sheet .warnings li{margin:0}
.sheet .signed{margin-top:auto;padding-top:2mm}.sheet .signed p{border:.3mm solid #16181d;padding:1.2mm 2mm;margin-top:1mm;overflow-wrap:anywhere}.sheet .signed .lapsed{border-color:#a01e1e;color:#a01e1e}
.sheet .lines{display:flex;gap:6mm;padding-top:6mm}.sheet .lines span{flex:1;border-top:.2mm solid #16181d;font-size:7.5pt;color:#50565f}
.sheet .foot{display:flex;justify-content:space-between;gap:4mm;font-size:7pt;color:#50565f;border-top:.2mm solid #9aa0a8;margin-top:2mm;padding-top:.8mm}
@media screen{body.alone{background:#d9dce1;margin:0;padding:6mm 0}body.alone .sheet{padding:11mm 12mm;width:210mm;min-height:297mm;box-shadow:0 1mm 5mm rgb(0 0 0/25%)}}
@media print{body.alone{margin:0}.sheet{height:272mm;min-height:0;overflow:hidden;print-color-adjust:exact;-webkit-print-color-adjust:exact}}"""


def to_html(analysis: Analysis) -> bytes:
    """A page without scripts and without anything from elsewhere."""
    sheet = make_sheet(analysis.report)
    name = escape(sheet.title)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}: mitotic count</title><style>{STYLE}</style></head>'
        f'<body class="alone"><main class="sheet">{write_sheet(sheet, draw_pictures(analysis))}</main></body></html>\n'
    )
    return page.encode()


def write_sheet(sheet: Sheet, pictures: SheetPictures) -> str:
    """The inside of the page."""
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in sheet.facts)
    sides = "".join(f'<th scope="col">{escape(side)}</th>' for side in sheet.sides)
    rows = "".join(
        f'<tr{" class=strong" if row.strong else ""}><th scope="row">{escape(row.name)}</th>'
        + "".join(f"<td>{escape(value)}</td>" for value in row.values)
        + "</tr>"
        for row in sheet.rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in sheet.notes)
    warned = [f"Warning: {warning}" for warning in sheet.warnings]
    warned += [f"Quality: {sheet.quality}"] if sheet.quality else []
    warnings = f'<ul class="warnings">{"".join(f"<li>{escape(said)}</li>" for said in warned)}</ul>' if warned else ""
    return (
        f'<div class="head"><div><p class="kind">Mitotic count</p><h1>{escape(sheet.title)}</h1></div>'
        f'<p class="research">{escape(sheet.use)}</p></div><dl>{facts}</dl>'
        f'<table><thead><tr><th scope="col"><span>Number</span></th>{sides}</tr></thead><tbody>{rows}</tbody></table>'
        f'<div class="notes">{notes}</div>{_write_pictures(pictures)}{warnings}{_write_signatures(sheet)}'
        f'<div class="foot"><span>{escape(sheet.footer)}</span><span>Page 1 of 1</span></div>'
    )


def _write_pictures(pictures: SheetPictures) -> str:
    shown = [("The slide and its hotspots; the one that is counted has the bold outline", pictures.overview)]
    if pictures.window is not None:
        shown.append(("The counted window with its figures; what was rejected is struck through", pictures.window))
    wide = "".join(
        f'<figure><img alt="{words}" src="{_embed(picture)}"><figcaption>{words}</figcaption></figure>'
        for words, picture in shown
    )
    crops = "".join(
        "<figure>"
        + (
            '<div class="blank"></div>'
            if picture is None
            else f'<img alt="Figure, {escape(said)}" src="{_embed(picture)}">'
        )
        + f"<figcaption>{escape(said)}</figcaption></figure>"
        for picture, said in pictures.crops
    )
    return f'<div class="pictures">{wide}</div>' + (f'<div class="crops">{crops}</div>' if crops else "")


def _write_signatures(sheet: Sheet) -> str:
    if not sheet.signatures:
        lines = "".join(f"<span>{name}</span>" for name in ("Name", "Date", "Signature"))
        return f'<div class="signed"><div>Not signed.</div><div class="lines">{lines}</div></div>'
    said = "".join(f"<p{'' if one.current else ' class=lapsed'}>{escape(one.text)}</p>" for one in sheet.signatures)
    return f'<div class="signed">{said}</div>'


def _embed(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


EXPORTS.add(
    "html",
    Export("report.html", "html", "text/html", whole(to_html), shows_review=True, shows_views=True, rank=13),
)
