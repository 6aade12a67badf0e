"""An owner who wants to keep more than may be kept: unfinished uploads, several at once, archives that unpack."""

import base64
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.attack.environment import AttackEnvironment, AttackTally, caller, packed
from tests.samples import noise, write_pyramid

TUS = {"Tus-Resumable": "1.0.0"}
AT_ONCE = 6


def attack(environment: AttackEnvironment, tally: AttackTally) -> None:
    """What is stored never exceeds the quota, whichever way it comes and however much comes at once."""
    server = environment.server()
    pictures = [environment.picture(seed) for seed in range(12)]
    quota = 3 * max(map(len, pictures)) + 100
    flat = write_pyramid(
        environment.folder / "flat.tif", noise(400, 400) // 200 * 200, compression=None, levels=1
    ).read_bytes()
    archive = packed({"a.tif": flat})
    tally.judge(len(archive) < len(flat), "the archive is no smaller than the slide")

    def check(what: str, owner: httpx.Client, most: int) -> None:
        kept = sum(slide["size"] for slide in owner.get("/v1/slides").json()["slides"])
        tally.judge(kept <= most, f"{what}: {kept} bytes of {most}")

    at_once = caller(server, "at once", disk_quota_bytes=quota)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda c: at_once.post("/v1/slides?filename=a.png", content=c).status_code, pictures))
    tally.judge(set(answers) <= {201, 507} and 201 in answers and 507 in answers, f"at once: {answers}")
    check("at once", at_once, quota)

    unfinished = caller(server, "unfinished", disk_quota_bytes=quota)
    begun = [_begin(unfinished, len(content)) for content in pictures]
    tally.judge([a.status_code for a in begun].count(201) == 3, f"unfinished: {[a.status_code for a in begun]}")
    places = [answer.headers["location"] for answer in begun if answer.status_code == 201]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        sent = list(pool.map(lambda n: _send(unfinished, places[n], pictures[n]).status_code, range(len(places))))
    tally.judge(set(sent) <= {204, 507}, f"finished at once: {sent}")
    check("finished at once", unfinished, quota)

    small = len(flat) // 2
    unpacked = caller(server, "archives", disk_quota_bytes=small)
    answer = unpacked.post("/v1/slides?filename=a.zip", content=archive)
    tally.judge(answer.status_code == 507, f"an archive that unpacks: {answer.status_code}")
    place = _begin(unpacked, len(archive), "a.zip").headers.get("location", "")
    tally.judge(_send(unpacked, place, archive).status_code == 507, "an archive that unpacks, in pieces")
    check("archives", unpacked, small)

    def chunks() -> object:
        for start in range(0, len(flat), 65536):
            yield flat[start : start + 65536]

    answer = unpacked.post("/v1/slides?filename=a.tif", content=chunks())  # type: ignore[arg-type]
    tally.judge(answer.status_code == 507, f"a body that says nothing of its length: {answer.status_code}")
    check("no length", unpacked, small)
    other = caller(server, "other").post("/v1/slides?filename=a.tif", content=flat)
    tally.judge(other.status_code == 201, f"another owner is refused: {other.status_code}")
    server.stop()


def _begin(owner: httpx.Client, length: int, name: str = "a.png") -> httpx.Response:
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    return owner.post("/v1/uploads", headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata})


def _send(owner: httpx.Client, place: str, content: bytes) -> httpx.Response:
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    return owner.patch(place, content=content, headers=headers)
