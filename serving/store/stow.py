"""Results sent to an archive that speaks DICOMweb: STOW-RS (DICOM PS3.18, 10.5)."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from serving.core.errors import RequestError
from serving.slides.dicomfiles import HEAD_BYTES, is_dicom
from serving.store.dicomweb import NO_CREDENTIAL, SCHEME, Credential, is_dicomweb, name_errors, open_archive
from serving.store.errors import UnavailableError

_BLOCK_BYTES = 2**20
_FAILED, _REASON, _INSTANCE = "00081198", "00081197", "00081155"
"""Failed SOP Sequence, Failure Reason, Referenced SOP Instance UID."""
_REASONS = {
    0x0110: "it could not process it",
    0x0122: "it does not take this kind of instance",
    0x0124: "it does not allow it",
    0xA700: "it has no room",
    0xA900: "the file does not match its kind of instance",
    0xC000: "it does not understand the file",
    0xC122: "it does not take this transfer syntax",
}
"""Failure reasons (PS3.18 table 10.5.3-2 and PS3.4 annex B)."""


def send_instances(service: str, files: Sequence[Path], *, credential: Credential = NO_CREDENTIAL) -> None:
    """Send DICOM files to an archive, a request each, so that one that is refused holds back no other.

    An archive keeps one copy of an instance however often it is sent: what broke off is sent again.

    Parameters
    ----------
    service
        `dicomweb+https://host/path`, or that of a study.
    files
        DICOM files; none is sent unless all are.

    Raises
    ------
    RequestError
        If the address is none of a DICOMweb service, or a file is no DICOM file.
    UnavailableError
        If the archive does not answer as it should or refuses a file; the message names each and why.
    """
    if not is_dicomweb(service) or "/series/" in service:
        raise RequestError(f"{service} is no DICOMweb service: give dicomweb+https://host/path")
    for path in files:
        with path.open("rb") as file:
            if not is_dicom(file.read(HEAD_BYTES)):
                raise RequestError(f"{path} is no DICOM file, and an archive takes no other")
    address = httpx.URL(service.removeprefix(SCHEME).rstrip("/"))
    target = str(address) if "/studies/" in address.path else f"{address}/studies"
    refused: list[str] = []
    with open_archive(credential, address) as client:
        for path in files:
            with name_errors(service):
                refused += [f"{path}: {why}" for why in _send(client, target, path)]
    if refused:
        raise UnavailableError(f"{service} refused {len(refused)} of {len(files)} files: {'; '.join(refused)}")


def _send(client: httpx.Client, target: str, path: Path) -> list[str]:
    """Send a file; why the archive did not keep it, empty where it did."""
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    answer = client.post(
        target,
        content=_read(path, head, tail),
        headers={
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
            "Accept": "application/dicom+json",
        },
    )
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()
    failed: list[dict[str, Any]] = _list_failed(answer)
    if answer.status_code == httpx.codes.CONFLICT and not failed:
        return ["it refused the file without a reason"]
    return [_explain(one) for one in failed]


def _read(path: Path, head: bytes, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block
    yield tail


def _list_failed(answer: httpx.Response) -> list[dict[str, Any]]:
    """Items of the Failed SOP Sequence; archives that stored all may answer without a body."""
    if not answer.content or "json" not in answer.headers.get("content-type", ""):
        return []
    found = answer.json()
    dataset = found[0] if isinstance(found, list) and found else found
    items = dataset.get(_FAILED, {}).get("Value", []) if isinstance(dataset, dict) else []
    return [item for item in items if isinstance(item, dict)]


def _explain(failed: dict[str, Any]) -> str:
    reason, instance = (next(iter(failed.get(tag, {}).get("Value", [])), None) for tag in (_REASON, _INSTANCE))
    words = _REASONS.get(reason) if isinstance(reason, int) else None
    return f"instance {instance}: {words or f'failure reason {reason}'}"
