"""Two Parquet tables of a cohort, `slides` and `detections`, each of up to 64 parts; a part has the slides of some ids.

A part is written from the reports of its slides, whole and in one step, and says in its metadata which reports it was made
of. So parts are written again only where a report changed, by whoever comes, and to the same content.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from io import BytesIO
from typing import Any

from serving.cohort.errors import CohortError, UnavailableError
from serving.cohort.layout import Failure, list_folder, read_report
from serving.cohort.manifest import ManifestEntry
from serving.core.report import DetectionResult, Report
from serving.core.words import RESEARCH_USE
from serving.store.blob_store import Blob, BlobStore

PARTS = 64
"""20,000 slides with a thousand detections each make parts of 300,000 rows."""
SLIDES, DETECTIONS = "tables/slides", "tables/detections"
_MADE_OF, _DETECTIONS_BYTES = b"mitoserve.made_of", b"mitoserve.detections_bytes"
"""In a slides part: the digest of the reports that it was made of, and the size of the detections part beside it."""
_SLIDE_COLUMNS = {
    "slide": "string", "case": "string", "source": "string", "state": "string", "problem": "string",
    "detail": "string", "analysis_id": "string", "sha256": "string", "width": "int64", "height": "int64",
    "mpp": "float64", "tiles_scored": "int64", "tissue_mm2": "float64", "mitotic_figures": "int64",
    "per_mm2": "float64", "expected_figures": "float64", "hotspot_x": "float64", "hotspot_y": "float64",
    "hotspot_mm2": "float64", "hotspot_figures": "int64", "hotspot_per_mm2": "float64",
    "component": "string", "models": "string", "warnings": "string", "wall_s": "float64",
    "atypical_figures": "int64", "atypical_share": "float64", "hotspot_atypical": "int64",
}  # fmt: skip
_DETECTION_COLUMNS = {
    "slide": "string", "case": "string", "x": "float64", "y": "float64", "width": "float64", "height": "float64",
    "probability": "float64", "score": "float64", "atypical_probability": "float64", "detectors": "string",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableMember:
    """A slide of a part, with its report as it is stored or the reason why it has none."""

    entry: ManifestEntry
    report: Blob | None
    failure: Failure | None = None


def choose_part(slide: str) -> int:
    """The part that a slide is in: by its id alone, so that a cohort that grows keeps its parts."""
    return hashlib.sha256(slide.encode()).digest()[0] % PARTS


def part_name(table: str, part: int) -> str:
    """Where a part of a table lies."""
    return f"{table}/part-{part:02}.parquet"


def write_part(results: BlobStore, part: int, members: Sequence[TableMember]) -> bool:
    """Write a part of both tables, unless it is there and made of the same; whether it was written.

    Raises
    ------
    UnavailableError
        If a report that was there cannot be read any more.
    CohortError
        If pyarrow is not installed.
    """
    parquet, digest = _arrow("pyarrow.parquet"), _digest(members)
    if _read_digest(results, parquet, part) == digest:
        return False
    slides: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for member in sorted(members, key=lambda m: m.entry.id):
        report = None if member.report is None else read_report(results, member.entry.id)
        if member.report is not None and report is None:
            raise UnavailableError(f"the report of {member.entry.id} was removed or changed meanwhile; run again")
        slides.append(_slide_row(member, report))
        detections += _detection_rows(member.entry, report)
    figures = write_table(_DETECTION_COLUMNS, detections, {})
    results.put(part_name(DETECTIONS, part), figures)
    # The slides say that the part is complete, so they come last.
    about = {_MADE_OF: digest.encode(), _DETECTIONS_BYTES: str(len(figures)).encode()}
    results.put(part_name(SLIDES, part), write_table(_SLIDE_COLUMNS, slides, about))
    return True


def remove_parts(results: BlobStore, wanted: set[int]) -> None:
    """Remove the parts that no slide of the cohort is in any more."""
    names = {part_name(SLIDES, part).rpartition("/")[2] for part in wanted}
    for table in (SLIDES, DETECTIONS):
        for name in list_folder(results, table).keys() - names:
            results.delete(f"{table}/{name}")


def _slide_row(member: TableMember, report: Report | None) -> dict[str, Any]:
    entry, failure = member.entry, member.failure
    row: dict[str, Any] = {"slide": entry.id, "case": entry.case, "source": entry.source}
    if report is None:
        said = {} if failure is None else {"problem": failure.problem, "detail": failure.detail}
        return {**row, "state": "failed", **said}
    counts, hotspot = report.counts, report.hotspots[0] if report.hotspots else None
    found: dict[str, Any] = {
        "state": "done",
        "analysis_id": report.analysis_id,
        "sha256": report.slide.sha256,
        "width": report.slide.width,
        "height": report.slide.height,
        "mpp": report.slide.mpp,
        "tiles_scored": report.tissue.tiles_scored,
        "tissue_mm2": counts.tissue_area_mm2,
        "mitotic_figures": counts.mitotic_figures,
        "per_mm2": counts.per_mm2,
        "expected_figures": counts.expected.mitotic_figures if counts.expected else None,
        "component": counts.component.estimate if counts.component else None,
        "models": ", ".join(f"{model.name} {model.version}" for model in report.used_models),
        "warnings": "\n".join(report.warnings),
        "wall_s": report.timing.wall_s,
    }
    if counts.atypical is not None:
        found |= {"atypical_figures": counts.atypical.figures, "atypical_share": counts.atypical.share}
    if hotspot is not None:
        found |= {
            "hotspot_x": hotspot.x,
            "hotspot_y": hotspot.y,
            "hotspot_mm2": hotspot.area_mm2,
            "hotspot_figures": hotspot.mitotic_figures,
            "hotspot_per_mm2": hotspot.per_mm2,
            "hotspot_atypical": None if hotspot.atypical is None else hotspot.atypical.figures,
        }
    return row | found


def _detection_rows(entry: ManifestEntry, report: Report | None) -> list[dict[str, Any]]:
    if report is None:
        return []
    return [
        {"slide": entry.id, "case": entry.case, **found.model_dump(), "detectors": _name_detectors(found)}
        for found in report.detections
    ]


def _name_detectors(found: DetectionResult) -> str | None:
    """Which detectors of an ensemble found a figure, and with what probabilities; None without one."""
    if found.detectors is None:
        return None
    return "; ".join(f"{name} {value:g}" for name, value in found.detectors.items())


def write_table(columns: dict[str, str], rows: list[dict[str, Any]], about: dict[bytes, bytes]) -> bytes:
    """Rows as Parquet, the same bytes for the same rows.

    columns : type by name. about : metadata
    """
    arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
    schema = arrow.schema([(name, getattr(arrow, kind)()) for name, kind in columns.items()])
    table = arrow.Table.from_pylist(rows, schema)
    buffer = BytesIO()
    parquet.write_table(table.replace_schema_metadata({b"research_use": RESEARCH_USE.encode(), **about}), buffer)
    return buffer.getvalue()


def read_rows(table: BytesIO) -> list[dict[str, Any]]:
    """The rows of a table."""
    rows: list[dict[str, Any]] = _arrow("pyarrow.parquet").read_table(table).to_pylist()
    return rows


def _read_digest(results: BlobStore, parquet: Any, part: int) -> str | None:
    """The digest of the part that is there; None where there is none, or none that can be read or is complete."""
    data = results.get(part_name(SLIDES, part))
    beside = list_folder(results, DETECTIONS).get(part_name(DETECTIONS, part).rpartition("/")[2])
    try:
        about = {} if data is None else parquet.read_schema(BytesIO(data)).metadata or {}
    except ValueError:  # base of pyarrow's errors of damaged files
        return None
    whole = beside is not None and about.get(_DETECTIONS_BYTES) == str(beside.size).encode()
    return about[_MADE_OF].decode() if whole and _MADE_OF in about else None


def _digest(members: Sequence[TableMember]) -> str:
    rows: list[Any] = [[_SLIDE_COLUMNS, _DETECTION_COLUMNS]]
    rows += [
        [
            asdict(member.entry),
            None if member.report is None else [member.report.size, member.report.modified],
            None if member.failure is None else [member.failure.problem, member.failure.detail],
        ]
        for member in sorted(members, key=lambda m: m.entry.id)
    ]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def _arrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise CohortError(f"cohorts need {module}: pip install 'mitoserve[cohort]'") from error
