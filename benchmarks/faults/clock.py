"""A clock that is set two days forward and three back while slides arrive and are scored."""

import base64
import time

from benchmarks.faults.environment import FaultEnvironment, check, submit, upload_slide, wait
from benchmarks.wrong_clock import WrongClock
from tests.server_process import ServerProcess

DAY = 86400
JUMPS = (2 * DAY, -DAY, 0)
_TUS = {"Tus-Resumable": "1.0.0"}


def run(environment: FaultEnvironment) -> str:
    """Jump three times during three analyses and an upload that began before the first."""
    clock = WrongClock(environment.folder)
    with clock.read_by_children():
        server = environment.server()
    slide = upload_slide(server, environment.slide)
    content = environment.slide.read_bytes()
    address = _begin_upload(server, content)
    wanted = {0.3: submit(server, slide, 0.3)}
    for number, jump in enumerate(JUMPS, 1):
        clock.set(jump)
        time.sleep(3)  # the analyses run on under the wrong time
        wanted[0.3 + number / 10] = submit(server, slide, 0.3 + number / 10)
    wait(server, list(wanted.values()))
    count = check(server, environment, wanted)
    assert count.runs == len(wanted), f"begun {count.runs} times"
    half = len(content) // 2
    headers = {**_TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(half)}
    answer = server.client.patch(address, content=content[half:], headers=headers)
    assert answer.status_code == 204, answer.text
    server.stop()
    return (
        f"{len(JUMPS)} jumps of {', '.join(f'{jump / DAY:+g} d' for jump in JUMPS)} from the right time: "
        f"{count.succeeded} of {len(wanted)} analyses succeeded, equal to undisturbed runs, each begun once; "
        "slide and unfinished upload still there"
    )


def _begin_upload(server: ServerProcess, content: bytes) -> str:
    """Address of an upload of which half has arrived."""
    name = base64.b64encode(b"slide.tif").decode()
    headers = {**_TUS, "Upload-Length": str(len(content)), "Upload-Metadata": f"filename {name}"}
    address = str(server.client.post("/v1/uploads", headers=headers).headers["location"])
    patch = {**_TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    assert server.client.patch(address, content=content[: len(content) // 2], headers=patch).status_code == 204
    return address
