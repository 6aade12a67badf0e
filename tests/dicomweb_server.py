"""A small archive that speaks DICOMweb: QIDO-RS for series, WADO-RS for a series' instances, STOW-RS (DICOM PS3.18, 10.4 to 10.6)."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom

BOUNDARY = "mitoserve-boundary"
FOUND = ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "PatientID")


class Archive(ThreadingHTTPServer):
    """Serves the instances that `add` was given, at http://127.0.0.1:<port>/dicom-web."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.series: dict[str, tuple[dict[str, Any], list[Path]]] = {}
        self.token = ""
        self.break_off_after: int | None = None
        """Bytes of an answer after which the connection is closed."""
        self.requests: list[str] = []
        self.stored: dict[str, bytes] = {}
        """Files that were sent, by the UID of the instance."""
        self.refused: dict[str, int] = {}
        """Failure reasons of instances that are not kept, by UID."""

    @property
    def url(self) -> str:
        """The service's address."""
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def add(self, folder: Path) -> str:
        """Keep the series in `folder`; gives its address below the service's."""
        files = sorted(folder.glob("*.dcm"))
        dataset = pydicom.dcmread(files[0], stop_before_pixels=True, specific_tags=list(FOUND))
        facts = {name: str(getattr(dataset, name, "")) for name in FOUND}
        self.series[facts["SeriesInstanceUID"]] = facts, files
        return f"{self.url}/studies/{facts['StudyInstanceUID']}/series/{facts['SeriesInstanceUID']}"


@contextmanager
def archive() -> Iterator[Archive]:
    """An archive that runs until the block ends."""
    with Archive() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Archive

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.requests.append(self.path)
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.send_error(401)
            return
        steps = parts.path.removeprefix("/dicom-web").strip("/").split("/")
        if steps[-1] == "series":
            self._search(steps[1] if steps[0] == "studies" else None, parse_qs(parts.query))
        elif len(steps) == 4 and steps[3] in self.server.series:
            self._retrieve(self.server.series[steps[3]][1])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        self.server.requests.append(self.path)
        body = self._body()
        kind = Message()
        kind["Content-Type"] = self.headers["Content-Type"]
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.send_error(401)
            return
        if kind.get_content_type() != "multipart/related" or kind.get_param("type") != "application/dicom":
            self.send_error(415)
            return
        kept, failed = [], []
        for part in body.split(f"--{kind.get_boundary()}".encode())[1:-1]:
            file = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            dataset = pydicom.dcmread(io.BytesIO(file), stop_before_pixels=True)
            uid = str(dataset.SOPInstanceUID)
            named = {"00081155": {"vr": "UI", "Value": [uid]}}
            if reason := self.server.refused.get(uid):
                failed.append(named | {"00081197": {"vr": "US", "Value": [reason]}})
            else:
                self.server.stored[uid] = file
                kept.append(named)
        found = {"00081199": kept, "00081198": failed}
        answer = json.dumps({tag: {"vr": "SQ", "Value": items} for tag, items in found.items() if items}).encode()
        self.send_response(200 if not failed else 202 if kept else 409)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        blocks = []
        while size := int(self.rfile.readline(), 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(blocks)

    def _search(self, study: str | None, query: dict[str, list[str]]) -> None:
        wanted = {name: values[0] for name, values in query.items() if name in FOUND}
        if study is not None:
            wanted["StudyInstanceUID"] = study
        found = [
            facts
            for facts, _ in self.server.series.values()
            if all(facts[name] == value for name, value in wanted.items())
        ]
        start = int(query.get("offset", ["0"])[0])
        page = found[start : start + int(query.get("limit", ["1000"])[0])]
        if not page:
            self.send_response(204)
            self.end_headers()
            return
        body = json.dumps([_dicom_json(facts) for facts in page]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _retrieve(self, files: list[Path]) -> None:
        body = b"".join(
            f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file.read_bytes()
            for file in files
        )
        body += f"\r\n--{BOUNDARY}--\r\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", f'multipart/related; type="application/dicom"; boundary={BOUNDARY}')
        self.end_headers()
        self.wfile.write(body[: self.server.break_off_after])

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def _dicom_json(facts: dict[str, str]) -> dict[str, Any]:
    tags = {name: pydicom.datadict.tag_for_keyword(name) for name in FOUND}
    kinds = {"Modality": "CS", "PatientID": "LO"}
    return {
        f"{tags[name]:08X}": {"vr": kinds.get(name, "UI"), "Value": [value]} for name, value in facts.items() if value
    }
