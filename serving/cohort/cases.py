"""The table of cases: several slides of one tumour, and which of them has the hotspot that counts."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from serving.cohort.tables import SLIDES, part_name, read_rows, write_table
from serving.store.blob_store import BlobStore

CASES = "tables/cases.parquet"
_HOTSPOT = ("hotspot_x", "hotspot_y", "hotspot_mm2", "hotspot_figures", "hotspot_per_mm2", "component")
_COLUMNS = {
    "case": "string", "slides": "int64", "slides_done": "int64", "tissue_mm2": "float64", "mitotic_figures": "int64",
    "hotspot_slide": "string", "hotspot_x": "float64", "hotspot_y": "float64", "hotspot_mm2": "float64",
    "hotspot_figures": "int64", "hotspot_per_mm2": "float64", "component": "string",
}  # fmt: skip


def write_cases(results: BlobStore, parts: Iterable[int]) -> None:
    """Write a row for each case that the manifest names, from the parts of the slides' table; no table where it names none.

    Raises
    ------
    CohortError
        If pyarrow is not installed.
    """
    cases: dict[str, list[dict[str, Any]]] = {}
    for part in sorted(parts):
        data = results.get(part_name(SLIDES, part))
        for row in [] if data is None else read_rows(BytesIO(data)):
            if row["case"]:
                cases.setdefault(row["case"], []).append(row)
    if not cases:
        results.delete(CASES)
        return
    made = write_table(_COLUMNS, [summarise_case(case, cases[case]) for case in sorted(cases)], {})
    if results.get(CASES) != made:
        results.put(CASES, made)


def summarise_case(case: str, slides: list[dict[str, Any]]) -> dict[str, Any]:
    """What a case's slides amount to.

    Parameters
    ----------
    case
        As the manifest has it.
    slides
        Rows of the slides' table.

    Returns
    -------
    Sums over the slides that have a report, and the hotspot with the most figures; of equally full ones the densest, then the
    first by slide.
    """
    done = [row for row in slides if row["state"] == "done"]
    counted = [row for row in done if row["hotspot_figures"] is not None]
    worst = min(counted, key=lambda row: (-row["hotspot_figures"], -row["hotspot_per_mm2"], row["slide"]), default=None)
    return {
        "case": case,
        "slides": len(slides),
        "slides_done": len(done),
        "tissue_mm2": round(sum(row["tissue_mm2"] for row in done), 4),
        "mitotic_figures": sum(row["mitotic_figures"] for row in done),
        "hotspot_slide": None if worst is None else worst["slide"],
        **{name: None if worst is None else worst[name] for name in _HOTSPOT},
    }
