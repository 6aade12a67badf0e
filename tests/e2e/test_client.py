"""The client and `mitoserve score --server` against a real server, with a key and over a line that breaks."""

import asyncio
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from serving.access.access import open_access
from serving.cli import main
from serving.client import AnalysisFailedError, AsyncClient, Client, RefusedError
from serving.client import uploads as protocol
from serving.client.uploads import Notes
from serving.exports import EXPORTS
from serving.settings import ServerSettings
from serving.store.database import open_database
from serving.store.tables import analyses
from serving.synthetic.slide import generate_slide
from tests.e2e.processes import ROOT, serve
from tests.limits import LONGEST_S
from tests.quick_models import write_quick_models
from tests.samples import noise, write_pyramid

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Server:
    address: str
    key: str
    state: Path
    stop: Callable[[], None]
    """Send SIGTERM, and wait for the end of every process."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quick_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    scratch = tmp_path_factory.mktemp("server")
    key, _ = open_access(ServerSettings(state=scratch / "state")).keys.create("client", ["score"])
    with ExitStack() as stack:
        client = stack.enter_context(serve(scratch, models=models))
        yield Server(str(client.base_url).rstrip("/"), key, scratch / "state", stack.close)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "small.tif"
    generate_slide(path, seed=1, width=600, height=500, tissue_fraction=1.0, mitoses_per_mm2=150)
    return path


@pytest.fixture(scope="module")
def here(slide: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command line gives without a server."""
    out = tmp_path_factory.mktemp("here")
    command = ["score", str(slide), "--out", str(out), "--models", str(models)]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert settle(out / "report.json")["detections"]
    return out


def settle(path: Path) -> dict[str, object]:
    """A report without what differs from run to run."""
    return {k: v for k, v in json.loads(path.read_text()).items() if k not in {"timing", "software"}}


def test_the_command_gives_the_same_from_a_server(
    server: Server, slide: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ["score", str(slide), "--out", str(tmp_path / "out"), "--server", server.address]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "keys create" in refused.output
    monkeypatch.setenv("MITOSIS_KEY", server.key)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {e.file_name for e in EXPORTS.values() if e.usual}
    assert settle(tmp_path / "out" / "report.json") == settle(here / "report.json")
    bad = tmp_path / "bad.svs"
    bad.write_text("no slide")
    result = CliRunner().invoke(main, ["score", str(bad), "--out", str(tmp_path / "no"), "--server", server.address])
    assert result.exit_code == 1
    assert "unsupported-format" in result.output


def test_the_documented_code_runs(server: Server, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MITOSIS_KEY", server.key)
    monkeypatch.chdir(tmp_path)
    shutil.copy(slide, "slide.tif")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)
    assert "http://localhost:3000" in code
    exec(compile(code.replace("http://localhost:3000", server.address), "client.md", "exec"), {})
    assert Path("mitosis-map.png").read_bytes().startswith(b"\x89PNG")


class Breaking(httpx.HTTPTransport):
    """A line that loses the end of some pieces, and the answer to others."""

    def __init__(self) -> None:
        super().__init__()
        self.chance, self.breaks = random.Random(7), 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "PATCH" or self.chance.random() < 0.5:
            return super().handle_request(request)
        self.breaks += 1
        if self.chance.random() < 0.5:
            super().handle_request(request).close()  # it arrived, and the answer was lost
        raise httpx.ReadError("the line broke")


def test_a_slide_arrives_over_a_line_that_breaks(
    server: Server, slide: Path, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "PIECE_BYTES", slide.stat().st_size // 20)
    monkeypatch.setattr(protocol, "pause_s", lambda *_: 0.01)
    renamed = shutil.copy(slide, tmp_path / "other.tif")
    line = Breaking()
    with Client(server.address, key=server.key, notes=Notes(tmp_path / "notes"), transport=line) as client:
        told: list[int] = []
        stored = client.upload(Path(renamed), on_progress=lambda done, _: told.append(done))
        assert line.breaks > 3
        assert told[-1] == slide.stat().st_size
        analysis = client.wait(client.start(stored))
        assert (analysis.details["slide"], stored.details["width"]) == (stored.id, 600)
        report = json.loads(client.fetch(analysis))
        assert report["detections"] == settle(here / "report.json")["detections"]
        assert client.fetch(analysis, "png").startswith(b"\x89PNG")
        client.cancel(analysis)
        assert client.look(analysis).state == "succeeded", "it had ended"
        client.remove(analysis)
        client.remove(analysis)
        with pytest.raises(RefusedError) as gone:
            client.look(analysis)
        assert (gone.value.status, gone.value.kind) == (404, "not-found")


def test_several_are_awaited_together(server: Server, slide: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with AsyncClient(server.address, key=server.key, notes=Notes(tmp_path)) as client:
            stored = await client.upload(slide)
            started = [await client.start(stored, roi=f"{x},0,250,250") for x in (0, 125, 250)]
            ended = await asyncio.gather(*(client.wait(analysis) for analysis in started))
            assert {analysis.state for analysis in ended} == {"succeeded"}
            assert len({analysis.id for analysis in ended}) == 3
            await client.download(ended[0], "csv", tmp_path / "out" / "tiles.csv")
            assert (tmp_path / "out" / "tiles.csv").read_bytes().count(b"\n") >= 2
            failing = await client.start(stored, roi="5000,5000,10,10")
            with pytest.raises(AnalysisFailedError, match="outside the slide"):
                await client.wait(failing)

    asyncio.run(run())


def test_what_the_client_did_is_on_record_and_measured(server: Server) -> None:
    audit = open_access(ServerSettings(state=server.state)).audit
    assert audit.verify()[0] >= 5
    actions = {record.action for record in audit.records()}
    assert {"POST /v1/uploads", "POST /v1/analyses", "DELETE /v1/analyses/{analysis_id}"} <= actions
    text = httpx.get(
        f"{server.address}/metrics", headers={"Authorization": f"Bearer {server.key}"}, timeout=LONGEST_S
    ).text
    figures = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line[0] != "#"}
    # Tiles and stages are counted in the worker's process, the rest in the server's.
    assert figures["mitoserve_tiles_total"] >= 2
    assert figures['mitoserve_stage_seconds_count{stage="screen"}'] >= 2
    assert figures['mitoserve_analyses{state="succeeded"}'] >= 2
    assert figures["mitoserve_uploaded_bytes_total"] > 0
    assert figures["mitoserve_free_bytes"] > 0
    assert "small" not in text


def test_the_log_is_json_with_ids_and_without_names(server: Server) -> None:
    lines = (server.state.parent / "server.log").read_text().splitlines()
    stated = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(stated) == len(lines)
    assert len({line["request_id"] for line in stated if line["logger"] == "mitoserve.requests"}) > 20
    for name in ("small", "other.tif", "bad.svs", server.key.split("_", 2)[2]):
        assert not any(name in line for line in lines)


def test_a_stopped_server_gives_back_what_it_ran(server: Server, tmp_path: Path) -> None:
    large = write_pyramid(tmp_path / "large.tif", noise(6000, 6000), compression="jpeg", levels=4)
    with Client(server.address, key=server.key, notes=Notes(tmp_path / "notes")) as client:
        analysis = client.start(client.upload(large), cascade="off", min_tissue_fraction=0)
        while client.look(analysis).state != "running":
            time.sleep(0.05)  # polls another process, which takes the analysis in a moment
    server.stop()
    with open_database(ServerSettings(state=server.state)).reading() as tx:
        (state,) = tx.execute(select(analyses.c.state).where(analyses.c.id == analysis.id)).one()
    assert state == "queued"
