"""A resumable upload whose connection is cut at random offsets, finished by a real tus client."""

import base64
import io
import random
import socket
import struct

from tusclient.client import TusClient

from benchmarks.faults.environment import FaultEnvironment
from serving.slides.hashing import slide_sha256

CUTS = 10
SEED = 4
_TUS = {"Tus-Resumable": "1.0.0"}


def run(environment: FaultEnvironment) -> str:
    """Cut at 10 random offsets, with and without warning; then finish, and compare the hash."""
    chance, content = random.Random(SEED), environment.slide.read_bytes()
    server = environment.server()
    name = base64.b64encode(b"slide.tif").decode()
    headers = {**_TUS, "Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    address = server.client.post("/v1/uploads", headers=headers).headers["location"]
    cuts = sorted(chance.randrange(len(content)) for _ in range(CUTS))
    resumed, kept = 0, []
    for number, cut in enumerate(cuts):
        _send_and_cut(server.port, address, content, resumed, cut, abrupt=number % 2 == 0)
        resumed = _offset_after_cut(server, address, resumed)
        assert resumed <= cut, f"the server has {resumed} bytes, {cut} were sent"
        kept.append(resumed)
    client = TusClient(f"http://127.0.0.1:{server.port}/v1/uploads")
    uploader = client.uploader(
        file_stream=io.BytesIO(content), url=f"http://127.0.0.1:{server.port}{address}", chunk_size=len(content) // 3
    )
    assert uploader.offset == resumed
    uploader.upload()
    stored = server.client.get(f"/v1/slides/{slide_sha256(environment.slide)}")
    assert stored.status_code == 200, stored.text
    assert stored.json()["size"] == len(content)
    server.stop()
    lost = max(cut - got for cut, got in zip(cuts, kept, strict=True))
    return (
        f"{CUTS} cuts of an upload of {len(content)} bytes, finished by tuspy: the stored slide has the right hash; "
        f"at most {lost} sent bytes had to be sent again"
    )


def _send_and_cut(port: int, address: str, content: bytes, start: int, end: int, *, abrupt: bool) -> None:
    """Announce all that is left, send it up to `end`, and hang up."""
    head = (
        f"PATCH {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTus-Resumable: 1.0.0\r\n"
        "Content-Type: application/offset+octet-stream\r\n"
        f"Upload-Offset: {start}\r\nContent-Length: {len(content) - start}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + content[start:end])
        if abrupt:  # a reset in place of an orderly end
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _offset_after_cut(server, address: str, before: int) -> int:  # type: ignore[no-untyped-def]
    """The offset once the server has noticed the cut: an empty PATCH waits for the request before it."""
    for _ in range(100):
        offset = int(server.client.head(address, headers=_TUS).headers["upload-offset"])
        headers = {**_TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        if server.client.patch(address, content=b"", headers=headers).status_code == 204:
            return offset
    raise AssertionError(f"the upload stays locked behind {before}")
