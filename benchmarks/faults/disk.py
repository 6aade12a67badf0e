"""A disk that is full, while a slide arrives and while one is scored. A small file system in memory stands for it."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.environment import FaultEnvironment, check, submit, upload_slide, wait

FULL_S = 12.0


def during_upload(environment: FaultEnvironment) -> str:
    """A slide that does not fit is refused and leaves nothing; one that fits is then stored."""
    size = environment.slide.stat().st_size
    with _small_disk(environment.folder / "state", size + 6 * 2**20) as state:
        server = environment.server()
        filler = _fill_disk(state, leave=size // 2)
        answers = []
        for framed in (True, False):  # with a stated length, and in chunks whose sum nobody knows before
            with environment.slide.open("rb") as handle:
                content = handle.read() if framed else iter(lambda h=handle: h.read(2**16), b"")
                answers.append(server.client.post("/v1/slides?filename=slide.tif", content=content))
        assert [a.status_code for a in answers] == [507, 507], [a.text for a in answers]
        assert all(a.json()["type"].endswith(":disk-full") for a in answers)
        left = [p.name for p in state.rglob("*") if p.is_file() and "sqlite" not in p.name and p != filler]
        assert not left, f"left behind: {left}"
        filler.unlink()
        upload_slide(server, environment.slide)
        server.stop()
    return "2 of 2 slides that did not fit answered with 507, 0 files left behind; the same slide stored once there was room"


def during_scoring(environment: FaultEnvironment) -> str:
    """An analysis that cannot write its checkpoints or result waits for room and ends right."""
    with _small_disk(environment.folder / "state", environment.slide.stat().st_size + 32 * 2**20) as state:
        server = environment.server()
        slide = upload_slide(server, environment.slide)
        wanted = {0.3: submit(server, slide, 0.3)}
        address = f"/v1/analyses/{wanted[0.3]}"
        server.wait_until(lambda: server.client.get(address).json()["progress"]["tiles_done"] > 0, 60)
        filler = _fill_disk(state, leave=0)
        time.sleep(FULL_S)  # the fault is that there is no room for so long
        shown = server.client.get(address).json()
        assert shown["state"] in ("queued", "running"), shown
        refused = server.client.post("/v1/slides?filename=slide.tif", content=environment.slide.read_bytes())
        assert refused.status_code in (503, 507), refused.text
        filler.unlink()
        wait(server, list(wanted.values()))
        count = check(server, environment, wanted)
        server.stop()
    return (
        f"{FULL_S:g} s without a free byte during an analysis: it was {shown['state']} meanwhile, then succeeded, equal to "
        f"an undisturbed run; at most {count.most_redone} tiles done again"
    )


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path]:
    assert os.getuid() == 0, "a small file system is mounted by root alone"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill_disk(folder: Path, *, leave: int) -> Path:
    """A file that takes all room but `leave` bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as handle:
        room = os.statvfs(folder)
        todo = room.f_bavail * room.f_frsize - leave
        try:
            while todo > 0:
                todo -= handle.write(bytes(min(todo, 2**16)))
        except OSError:
            pass  # it is full, which was asked for
    return filler
