"""What lies where below a cohort's address, and the two records that are written there beside reports."""

import gzip
import zlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.cohort.manifest import ManifestEntry
from serving.core.report import Report
from serving.core.words import RESEARCH_USE
from serving.store.blob_store import Blob, BlobStore

COHORT = "cohort.json"
REPORTS, FAILED, FILES = "reports", "failed", "files"
_REPORT, _FAILURE = ".json.gz", ".json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CohortRecord(_Record):
    """`cohort.json`: what the last run was asked to do."""

    schema_version: Literal["1.0"] = "1.0"
    software: str
    options: str = Field(description="Of every slide, as JSON; a slide's own mpp and roi come on top.")
    models: list[str]
    slides: list[ManifestEntry]
    research_use: str = RESEARCH_USE


class Failure(_Record):
    """`failed/<id>.json`: why a slide has no report."""

    slide: str
    source: str
    problem: str = Field(description="Kind of the problem, as in the server's problem documents.")
    detail: str
    passing: bool = Field(description="Whether another try may succeed; the next run tries such slides again.")
    tries: int
    key: str = Field(description="Hash of options and models.")


def report_name(slide: str) -> str:
    """Where the report of a slide lies."""
    return f"{REPORTS}/{slide}{_REPORT}"


def failure_name(slide: str) -> str:
    """Where the reason lies for which a slide has no report."""
    return f"{FAILED}/{slide}{_FAILURE}"


def parse_slide_id(name: str) -> str:
    """The slide that an object in `reports` or `failed` is of."""
    return name.removesuffix(_REPORT).removesuffix(_FAILURE)


def list_folder(results: BlobStore, folder: str) -> dict[str, Blob]:
    """The results directly below `folder`, by their name in it."""
    found = {blob.name.removeprefix(f"{folder}/"): blob for blob in results.list(folder)}
    return {name: blob for name, blob in found.items() if "/" not in name}


def pack_report(report: Report) -> bytes:
    """A report as it is kept: JSON, gzip; the same for the same report."""
    return gzip.compress(report.model_dump_json().encode(), 6, mtime=0)


def read_report(results: BlobStore, slide: str) -> Report | None:
    """The report of a slide; None where there is none, or what is there is none: cut off, damaged, of another version."""
    data = results.get(report_name(slide))
    if data is None:
        return None
    try:
        return Report.model_validate_json(gzip.decompress(data))
    except (ValidationError, OSError, EOFError, zlib.error):
        return None


def read_failure(results: BlobStore, slide: str) -> Failure | None:
    """Why a slide has no report; None where nothing readable says so."""
    data = results.get(failure_name(slide))
    try:
        return None if data is None else Failure.model_validate_json(data)
    except ValidationError:
        return None
