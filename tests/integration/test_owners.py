"""What one owner can tell of another, what an owner may keep, and what administrators leave on record."""

import base64
import functools
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.access.access import AccessControl, open_access
from serving.settings import ServerSettings
from serving.store.errors import QuotaError
from serving.store.quotas import IncomingBytes
from tests.clients import LocalClient, bearer
from tests.samples import noise, write_pyramid
from tests.services import events, field, kind, serving, until

pytestmark = pytest.mark.integration

TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True, slots=True)
class Server:
    client: LocalClient
    access: AccessControl

    def key(self, name: str = "lab", scope: Any = "score", **limits: Any) -> dict[str, str]:
        return bearer(self.access.keys.create(name, [scope], **limits)[0])

    def owner(self, key: dict[str, str]) -> str:
        return f"key:{key['Authorization'].split('_')[1]}"

    def bring(self, key: dict[str, str], content: bytes, name: str = "a.png") -> Any:
        return self.client.post("/v1/slides", files={"slide": (name, content)}, headers=key)

    def begin(self, key: dict[str, str], length: int, name: str = "a.png") -> Any:
        metadata = f"filename {base64.b64encode(name.encode()).decode()}"
        return self.client.post(
            "/v1/uploads", headers={**key, **TUS, "Upload-Length": str(length), "Upload-Metadata": metadata}
        )

    def send(self, key: dict[str, str], address: str, data: bytes) -> Any:
        headers = {**key, **TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        return self.client.patch(address, content=data, headers=headers)

    def get(self, key: dict[str, str], address: str) -> Any:
        return self.client.get(address, headers=key)

    def analysed(self, key: dict[str, str], slide: str) -> tuple[dict[str, Any], list[str]]:
        """What the submission answered, and the states that the analysis went through."""
        wanted = {"slide": slide, "options": {"mpp": 0.25}}
        accepted = self.client.post("/v1/analyses", json=wanted, headers=key).json()
        address = accepted["links"]["self"]
        until(lambda: self.get(key, address).json()["state"] == "succeeded")
        seen = events(self.get(key, accepted["links"]["events"]).text)
        return accepted, [event for _, event, _ in seen if event != "progress"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    access = open_access(ServerSettings(state=tmp_path / "state"))
    with serving(tmp_path / "state") as client:
        yield Server(client, access)


def test_no_owner_can_tell_that_another_has_the_slide(server: Server) -> None:
    """The first to bring it and the second see the same; only one's own results are used again."""
    first, second = server.key("first"), server.key("second")
    slide = server.bring(first, field()).json()["id"]
    whole = server.analysed(first, slide)
    assert server.get(second, f"/v1/slides/{slide}").status_code == 404
    server.bring(second, field())
    assert server.analysed(second, slide)[0]["state"] == whole[0]["state"] == "queued"
    assert server.analysed(second, slide)[0]["state"] == "succeeded"  # their own, the second time
    assert whole[1] == ["queued", "running", "succeeded"]


def test_both_owners_analyses_go_through_the_same_states(server: Server) -> None:
    first, second = server.key("first"), server.key("second")
    for key in (first, second):
        slide = server.bring(key, field()).json()["id"]
        assert server.analysed(key, slide)[1] == ["queued", "running", "succeeded"]


def test_an_error_names_no_other_owners_file(server: Server, tmp_path: Path) -> None:
    """Two owners bring the same damaged bytes, each under a name of a patient's; the second sees only what it wrote."""
    path = write_pyramid(tmp_path / "s.tif", noise(2000, 2000), compression="jpeg", levels=2)
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 60_000] = b"\xff\xd8\xff" * 20_000
    names = {"first": "SMITH-JOHN-1950.tif", "second": "DOE-JANE-1960.tif"}
    keys = {name: server.key(name) for name in names}
    said: dict[str, list[str]] = {name: [] for name in names}
    for who, key in keys.items():
        stored = server.bring(key, bytes(content), names[who])
        said[who].append(stored.text)
        if stored.status_code != 201:
            continue
        slide = stored.json()["id"]
        for tile in range(16):
            answer = server.get(
                key, f"/v1/slides/{slide}/iiif/{(tile % 4) * 500},{tile // 4 * 500},500,500/max/0/default.jpg"
            )
            if answer.status_code != 200:
                said[who].append(answer.text)
        said[who].append(server.get(key, f"/v1/slides/{slide}/thumbnail").text)
    assert any("unreadable" in text or "decoder" in text for text in said["second"]), said
    for who, other in (("first", "second"), ("second", "first")):
        assert not [text for text in said[who] if names[other].split(".")[0] in text]


def pack(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("slide.tif", content)
    return buffer.getvalue()


def test_no_way_leads_past_a_quota(server: Server, tmp_path: Path) -> None:
    """Uploads that are not finished, several that end at once, archives that unpack, bodies whose length is not stated."""
    flat = tmp_path / "flat.tif"
    write_pyramid(flat, noise(400, 400) // 200 * 200, compression=None, levels=1)
    large = flat.read_bytes()
    quota = len(large) // 2
    small = server.key("small", disk_quota_bytes=quota)
    whole = [field(seed=seed) for seed in range(8)]
    assert len(pack(large)) < quota < len(large)
    assert sum(map(len, whole)) < quota

    # archives: what they unpack to counts, and what had been received is not lost
    refused = server.bring(small, pack(large), "a.zip")
    assert (refused.status_code, kind(refused)) == (507, "quota-exceeded")
    upload = server.begin(small, len(pack(large)), "a.zip").headers["location"]
    assert server.send(small, upload, pack(large)).status_code == 507
    assert server.client.head(upload, headers={**small, **TUS}).status_code in (200, 507)
    assert server.client.delete(upload, headers={**small, **TUS}).status_code == 204

    # uploads that were begun count from their beginning, and no more once they are ended
    begun = [server.begin(small, quota // 3) for _ in range(4)]
    assert [answer.status_code for answer in begun] == [201, 201, 201, 507]
    assert server.bring(small, whole[0]).status_code in (201, 507)
    for answer in begun[:3]:
        assert server.client.delete(answer.headers["location"], headers={**small, **TUS}).status_code == 204

    # one that becomes a slide counts once
    upload = server.begin(small, len(whole[1])).headers["location"]
    assert server.send(small, upload, whole[1]).status_code == 204


def test_a_project_is_no_second_quota(server: Server) -> None:
    contents = [field(seed=seed) for seed in range(3)]
    small = server.key("small", disk_quota_bytes=len(contents[0]) + len(contents[1]) + 10)
    assert server.bring(small, contents[0]).status_code == 201
    made = [server.client.post("/v1/projects", json={"name": name}, headers=small).json()["id"] for name in "ab"]
    first, second = ({**small, "Mitoserve-Project": project} for project in made)
    brought = server.bring(first, contents[1])
    assert brought.status_code == 201
    for headers in (first, second, small):
        refused = server.bring(headers, contents[2])
        assert (refused.status_code, kind(refused)) == (507, "quota-exceeded")
        assert server.begin(headers, len(contents[2])).status_code == 507
    # Giving a slide to a project of one's own moves no bytes.
    own = server.client.get("/v1/slides", headers=small).json()["slides"][0]["id"]
    moved = server.client.post(f"/v1/projects/{made[1]}/slides", json={"slides": [own]}, headers=small)
    assert moved.status_code == 200
    # To members it counts for nothing: what they bring is the project's, and so its maker's.
    other = server.key("other", disk_quota_bytes=2 * len(contents[2]))
    principal = server.client.get("/v1/me", headers=other).json()["id"]
    server.client.put(f"/v1/projects/{made[0]}/members/{principal}", json={"role": "manager"}, headers=small)
    assert server.bring({**other, "Mitoserve-Project": made[0]}, contents[2]).status_code == 507
    assert server.bring(other, contents[2]).status_code == 201


def test_slides_that_end_at_once_pass_no_quota_together(server: Server) -> None:
    contents = [field(seed=seed) for seed in range(12)]
    room = 3 * max(map(len, contents)) + 10
    key = server.key("busy", disk_quota_bytes=room)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(functools.partial(server.bring, key), contents))
    assert {answer.status_code for answer in answers} == {201, 507}
    listed = server.get(key, "/v1/slides").json()["slides"]
    assert sum(slide["size"] for slide in listed) <= room
    assert len(listed) == sum(answer.status_code == 201 for answer in answers) >= 1


@given(pieces=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=60), left=st.integers(0, 300))
@settings(max_examples=60)
def test_what_is_on_its_way_counts_together(pieces: list[tuple[int, int]], left: int) -> None:
    """Whichever of an owner's requests sends the next piece: no more than it may keep is ever written, and all is given back."""
    arriving, total = IncomingBytes(), 0
    written: list[bytes] = []
    with ExitStack() as stack:
        writes = [stack.enter_context(arriving.counting("lab", left))(written.append) for _ in range(4)]
        for request, size in pieces:
            total += size
            with nullcontext() if total <= left else pytest.raises(QuotaError):
                writes[request](bytes(size))
        assert sum(len(piece) for piece in written) <= left
    with arriving.counting("lab", left) as counted:
        counted(written.append)(bytes(left))


def test_an_administrator_deletes_one_owners_slide(server: Server) -> None:
    first, second, admin = server.key("first"), server.key("second"), server.key("admin", "admin")
    slide = server.bring(first, field()).json()["id"]
    address = f"/v1/slides/{slide}"
    delete = functools.partial(server.client.delete, headers=admin)
    server.bring(second, field())
    refused = delete(address)
    assert (refused.status_code, kind(refused)) == (409, "slide-shared")
    assert server.owner(first) in refused.json()["detail"]
    assert server.client.delete(f"{address}?owner={server.owner(second)}", headers=first).status_code == 403
    assert delete(f"{address}?owner=key:nobody").status_code == 404
    assert delete(f"{address}?owner={server.owner(second)}").status_code == 204
    assert server.get(first, address).status_code == 200
    assert server.get(second, address).status_code == 404
    server.bring(admin, field())
    assert delete(address).status_code == 204  # the administrator's own comes first
    assert server.get(first, address).status_code == 200
    assert delete(address).status_code == 204  # and now there is one owner
    assert server.get(first, address).status_code == 404


def test_slides_made_by_resumable_uploads_are_on_record(server: Server) -> None:
    key, content = server.key(), field()
    upload = server.begin(key, len(content)).headers["location"]
    done = server.send(key, upload, content)
    slide = done.headers["mitoserve-slide"].rsplit("/", 1)[1]
    for _ in range(3):
        server.client.head(upload, headers={**key, **TUS})
    records = [(r.action, r.subject, r.outcome) for r in server.access.audit.records()]
    assert records == [
        ("POST /v1/uploads", upload.rsplit("/", 1)[1], "201"),
        ("PATCH /v1/uploads/{upload_id}", slide, "204"),
    ]


def test_cases_that_slides_are_given_are_on_record(server: Server) -> None:
    key = server.key()
    slide = server.bring(key, field()).json()["id"]
    assert server.client.patch(f"/v1/slides/{slide}", json={"case": "7"}, headers=key).status_code == 200
    last = list(server.access.audit.records())[-1]
    assert (last.action, last.subject, last.outcome) == ("PATCH /v1/slides/{slide_id}", slide, "200")


def test_what_administrators_read_is_on_record_once_in_a_while(server: Server) -> None:
    owner, admin = server.key("owner"), server.key("admin", "admin")
    slide = server.bring(owner, field()).json()["id"]
    analysis = server.analysed(owner, slide)[0]["id"]
    before = len(list(server.access.audit.records()))
    addresses = [
        "/v1/slides",
        f"/v1/slides/{slide}",
        f"/v1/slides/{slide}/thumbnail",
        f"/v1/analyses/{analysis}/report",
    ]
    addresses += [
        f"/v1/slides/{slide}/iiif/full/64,/0/default.jpg",
        f"/v1/slides/{slide}/iiif/info.json",
        "/v1/analyses",
    ]
    for address in (*addresses, *addresses):
        assert server.get(owner, address).status_code == server.get(admin, address).status_code == 200
        assert server.client.head(address, headers=admin).status_code == 200
    assert server.get(admin, "/v1/slides/unknown").status_code == 404
    assert server.get(admin, "/v1/models").status_code == 200
    records = [(r.actor, r.subject) for r in server.access.audit.records()][before:]
    assert {actor for actor, _ in records} == {server.owner(admin)}
    assert sorted(subject for _, subject in records) == sorted(["", "", slide, analysis])
