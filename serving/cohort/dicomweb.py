"""Slides that are found in an archive that speaks DICOMweb, by QIDO-RS (DICOM PS3.18)."""

from collections.abc import Iterator
from typing import Any

import httpx

from serving.cohort.errors import CohortError
from serving.store.dicomweb import NO_CREDENTIAL, SCHEME, Credential, name_errors, open_archive

PAGE = 500
"""Series a request of QIDO-RS asks for."""
_MODALITY, _STUDY, _SERIES = "SM", "0020000D", "0020000E"


def find_series(service: str, *, credential: Credential = NO_CREDENTIAL) -> Iterator[str]:
    """The source of every slide (a series of modality SM) of a service, or of the study that the address ends with.

    service : `dicomweb+https://host/path`, perhaps with a query such as `?PatientID=1` that narrows the search

    Raises
    ------
    UnavailableError
        If the service does not answer as it should.
    CohortError
        If the address is of one series, or no address.
    """
    address = httpx.URL(service.removeprefix(SCHEME))
    base = str(address.copy_with(query=None)).rstrip("/")
    if "/series/" in base:
        raise CohortError(f"{service} is one slide; name the service or a study to have its slides found")
    asked = dict(address.params.multi_items()) | {"Modality": _MODALITY, "limit": str(PAGE)}
    root = base.split("/studies/")[0]
    with open_archive(credential, address) as client, name_errors(service):
        seen: set[str] = set()
        while True:
            answer = client.get(
                f"{base}/series",
                params=asked | {"offset": str(len(seen))},
                headers={"Accept": "application/dicom+json"},
            )
            answer.raise_for_status()
            found = [] if answer.status_code == httpx.codes.NO_CONTENT else answer.json()
            sources = []
            for series in found:
                study = _uid(series, _STUDY) or base.partition("/studies/")[2]
                sources.append(f"{SCHEME}{root}/studies/{study}/series/{_uid(series, _SERIES)}")
            # A service may give fewer than were asked for, or all of them again and again.
            fresh = [source for source in sources if source not in seen]
            if not fresh:
                return
            yield from fresh
            seen.update(fresh)


def _uid(series: dict[str, Any], tag: str) -> str:
    """A value of a DICOM JSON object (PS3.18 F.2); empty where it has none."""
    return str(next(iter(series.get(tag, {}).get("Value", [])), ""))
