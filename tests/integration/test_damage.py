"""One changed bit in any stored file, through HTTP: never another result, and all is whole again after the same requests."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clients import LocalClient
from tests.fakes import DotDetector
from tests.services import bring, field, kind, serving, submit, wait_for_end

pytestmark = [pytest.mark.integration, pytest.mark.property]

FILES = (
    "results/*/report.json",
    "results/*/rasters.npz",
    "results/*/SHA256SUMS",
    "slides/**/*.*",
    "tiles/**/*.npz",
    "stamps/*",
)
"""In the state folder: everything that is written once."""
FORMATS = ("json", "geojson", "png")
THRESHOLD = {"mpp": 0.25, "threshold": 0.4}
OTHER = {"mpp": 0.25, "threshold": 0.6}


def lasting(content: bytes, suffix: str) -> Any:
    """An export without what differs from run to run."""
    if suffix != "json":
        return content
    return {key: value for key, value in json.loads(content).items() if key not in ("timing", "software")}


class DamagedServer:
    """A server with a slide and the results of an undisturbed analysis."""

    def __init__(self, client: LocalClient, state: Path) -> None:
        self.client, self.state, self.content = client, state, field()
        self.slide = bring(client, self.content)
        self.analysis = wait_for_end(client, submit(client, self.slide, options=THRESHOLD)["id"])["id"]
        self.expected = self.exports(self.analysis)
        self.other = self.exports(wait_for_end(client, submit(client, self.slide, options=OTHER)["id"])["id"])

    def exports(self, analysis: str) -> dict[str, Any]:
        """What there is in each format; the kind of the problem where there is none."""
        found = {}
        for suffix in FORMATS:
            answer = self.client.get(f"/v1/analyses/{analysis}/report.{suffix}")
            found[suffix] = lasting(answer.content, suffix) if answer.status_code == 200 else kind(answer)
        return found

    def newest(self, pattern: str, number: int) -> Path:
        """One of the two files that were written last: what is lost stays for a day and is used no more."""
        found = sorted(self.state.glob(pattern), key=lambda path: path.stat().st_mtime_ns)[-2:]
        return found[number % len(found)]

    def again(self, options: dict[str, Any]) -> dict[str, Any]:
        """Bring the slide and submit the analysis again; gives the exports."""
        assert bring(self.client, self.content) == self.slide
        done = wait_for_end(self.client, submit(self.client, self.slide, options=options)["id"])
        assert done["state"] == "succeeded", done
        self.analysis = done["id"] if options == THRESHOLD else self.analysis
        return self.exports(done["id"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DamagedServer]:
    state = tmp_path_factory.mktemp("damage") / "state"
    with serving(state, DotDetector) as client:
        yield DamagedServer(client, state)


@settings(max_examples=10)
@given(pattern=st.sampled_from(FILES), number=st.integers(0, 1), bit=st.integers(0, 2**40))
def test_any_changed_bit_of_any_stored_file_gives_no_other_result(
    served: DamagedServer, pattern: str, number: int, bit: int
) -> None:
    path = served.newest(pattern, number)
    content = bytearray(path.read_bytes())
    bit %= 8 * len(content)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))
    for suffix, shown in served.exports(served.analysis).items():
        assert shown in (served.expected[suffix], "result-lost"), suffix
    # An analysis before the slide is brought again either ends with the same numbers or says what to do.
    tried = wait_for_end(served.client, submit(served.client, served.slide, options=OTHER)["id"])
    if tried["state"] == "succeeded":
        assert served.exports(tried["id"]) == served.other
    else:
        assert tried["problem"] == "urn:mitoserve:problem:slide-damaged"
        assert "upload the slide again" in tried["detail"]
    assert served.again(THRESHOLD) == served.expected
    assert served.again(OTHER) == served.other


def test_a_lost_result_is_gone_and_the_same_request_computes_it_again(served: DamagedServer) -> None:
    made = wait_for_end(served.client, submit(served.client, served.slide, options=OTHER)["id"])["id"]
    for path in (served.state / "results").glob("*/report.json"):
        path.write_bytes(b"{}")
    for _ in range(2):
        answer = served.client.get(f"/v1/analyses/{made}/report")
        assert (answer.status_code, kind(answer)) == (410, "result-lost")
        assert "POST /v1/analyses" in answer.json()["detail"]
    assert served.client.get(f"/v1/analyses/{made}").json()["state"] == "succeeded"
    assert served.again(OTHER) == served.other


def test_a_lost_slide_is_told_and_the_next_upload_is_stored(served: DamagedServer) -> None:
    (path,) = (served.state / "slides").rglob("slide.*")
    path.unlink()
    answer = served.client.get(f"/v1/slides/{served.slide}/thumbnail")
    assert (answer.status_code, kind(answer)) == (410, "slide-damaged")
    failed = wait_for_end(served.client, submit(served.client, served.slide, options={"mpp": 0.26})["id"])
    assert (failed["state"], failed["problem"]) == ("failed", "urn:mitoserve:problem:slide-damaged")
    assert bring(served.client, served.content) == served.slide
    assert served.client.get(f"/v1/slides/{served.slide}/thumbnail").status_code == 200
    again = submit(served.client, served.slide, options={"mpp": 0.26})["id"]
    assert wait_for_end(served.client, again)["state"] == "succeeded"


def test_a_database_that_is_deleted_makes_the_server_not_ready(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(state) as client:
        slide = bring(client, field())
        (state / "mitoserve.sqlite").rename(tmp_path / "elsewhere")
        answer = client.get("/readyz")
        assert (answer.status_code, kind(answer)) == (503, "not-ready")
        assert "deleted or moved" in answer.json()["detail"]
        for refused in (
            client.post("/v1/analyses", json={"slide": slide, "options": {"mpp": 0.25}}),
            client.post("/v1/slides", files={"slide": ("b.png", field(seed=7))}),
        ):
            assert (refused.status_code, kind(refused)) == (503, "busy")
        assert not (state / "mitoserve.sqlite").exists()
        (tmp_path / "elsewhere").rename(state / "mitoserve.sqlite")
        assert client.get("/readyz").status_code == 200
        assert client.get(f"/v1/slides/{slide}").status_code == 200
