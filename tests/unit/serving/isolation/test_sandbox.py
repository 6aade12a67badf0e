"""What a decoder process could do if a slide took it over: see its slide, and nothing else."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.core.geometry import Region
from serving.isolation import landlock
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.slides.opening import open_slide
from serving.store.archives import extract
from serving.store.unpacking import UnpackLimits
from tests.archives import contents, pack
from tests.dicom import write_dicom_slide
from tests.limits import LONGEST_S
from tests.samples import noise, write_mrxs, write_picture, write_pyramid

needs_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock, or it is off")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of other users")


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits())
    yield made
    made.close()


def find_pid(slide: IsolatedSlide) -> int:
    assert slide._current is not None
    return slide._current[0].pid


def tried(places: list[Path], work: str) -> str:
    """What `work` prints in a process that has bound itself to `places`."""
    program = f"""
import os, socket, signal
from pathlib import Path
from serving.isolation.landlock import restrict_reading
from serving.isolation.limits import DecoderLimits, restrict
restrict(DecoderLimits())
assert restrict_reading([Path(place) for place in {[str(place) for place in places]}])
def outcome(work):
    try:
        return work()
    except OSError as error:
        return type(error).__name__
{work}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LONGEST_S, check=True
    )
    return done.stdout.strip()


@needs_landlock
def test_a_bound_process_reads_its_places_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "mine" / "deep" / "a").write_text("mine")
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "theirs")
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "alone").write_text("alone")
    work = f"""
base = Path({str(tmp_path)!r})
for name in ("mine/deep/a", "alone", "theirs", "mine/link", "mine/../theirs"):
    print(outcome((base / name).read_text))
for place in ("/etc/passwd", "/proc/self/environ", f"/proc/{{os.getppid()}}/environ", f"/proc/{{os.getppid()}}/mem"):
    print(outcome(lambda: Path(place).read_bytes()[:10]))
print(outcome(lambda: sorted(os.listdir(base / "mine"))))
print(outcome(lambda: os.listdir(base)))
print(outcome(lambda: (base / "mine" / "new").write_text("x")))
"""
    assert tried([tmp_path / "mine", tmp_path / "alone"], work).splitlines() == [
        *("mine", "alone", "PermissionError", "PermissionError", "PermissionError"),
        *["PermissionError"] * 4,
        "['deep', 'link']",
        "PermissionError",
        "PermissionError",
    ]


@needs_landlock
@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock does not know signals and ports")
def test_a_bound_process_signals_and_connects_to_nobody(tmp_path: Path) -> None:
    work = """
print(outcome(lambda: os.kill(os.getppid(), 0)))
print(outcome(lambda: socket.create_connection(("127.0.0.1", 9), 1)))
print(outcome(lambda: socket.create_server(("127.0.0.1", 0))))
"""
    assert tried([tmp_path], work).splitlines() == ["PermissionError"] * 3


@needs_landlock
def test_what_unpacks_an_archive_sees_it_and_the_folder_that_it_fills_and_nothing_else(tmp_path: Path) -> None:
    """As it stands when it is about to parse the archive, whatever that would make it do."""
    request: dict[str, Any] = {"archive": str(tmp_path / "a.zip"), "folder": str(tmp_path / "out"), "slide": False}
    request["limits"] = asdict(UnpackLimits(2**20))
    (tmp_path / "a.zip").write_text("archive")
    (tmp_path / "out").mkdir()
    (tmp_path / "theirs").write_text("theirs")
    program = """
import os, socket, sys
from pathlib import Path
from serving.store import unpacking
def outcome(work):
    try:
        return work()
    except OSError as error:
        return type(error).__name__
def instead(archive, folder, max_bytes):
    base = archive.parent
    (folder / "deep").mkdir()
    (folder / "deep" / "new").write_text("new")
    for place in (archive, folder / "deep" / "new", base / "theirs", folder / ".." / "theirs", Path("/etc/passwd")):
        print(outcome(place.read_text))
    for place in (archive, base / "theirs", base / "new"):
        print(outcome(lambda: place.write_text("changed")))
    print(outcome(lambda: (base / "folder").mkdir()))
    print(outcome(lambda: os.symlink("/etc/passwd", folder / "link")))
    print(outcome(lambda: os.rename(folder / "deep", base / "deep")))
    print(outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()))
    print(outcome(lambda: os.listdir(base)))
unpacking.extract_in_process = instead
unpacking.main()
"""
    run = [sys.executable, "-c", program, json.dumps(request)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=LONGEST_S, check=True)
    assert done.stdout.splitlines() == ["archive", "new", *["PermissionError"] * 11, "{}"]
    assert (tmp_path / "a.zip").read_text() == "archive"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out", "theirs"]


@needs_landlock
@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archives_of_every_kind_are_unpacked_by_a_bound_process(tmp_path: Path, mode: str) -> None:
    """Names that need a codec of their own among them."""
    entries = {"größe/slide.tif": b"II*\0" + bytes(200), "größe/dir/other.txt": b"x"}
    path = pack(tmp_path / "a", entries, mode)
    (tmp_path / "link").symlink_to(path)
    extract(tmp_path / "link", tmp_path / "out", max_bytes=2**20)
    assert contents(tmp_path / "out") == entries


@needs_landlock
def test_a_slide_of_every_kind_opens_in_a_bound_decoder(tmp_path: Path, decoders: Decoders) -> None:
    pixels = noise(300, 260)
    slides = [
        write_pyramid(tmp_path / "plain.tif", pixels),
        write_pyramid(tmp_path / "jpeg.svs", pixels, compression="jpeg"),
        write_pyramid(tmp_path / "zstd.tif", pixels, compression="zstd"),  # its codec is loaded when it is needed
        write_picture(tmp_path / "a.png", pixels),
        write_picture(tmp_path / "a.jpg", pixels),
        write_mrxs(tmp_path / "a.mrxs", pixels),
        write_dicom_slide(tmp_path / "dicom", pixels, mpp=0.25),
    ]
    for path in slides:
        with open_isolated(decoders, path, name=path.name) as there, open_slide(path) as here:
            whole = Region(0, 0, here.width, here.height)
            assert np.array_equal(there.read(whole, here.width, here.height), here.read(whole, here.width, here.height))


@needs_landlock
@pytest.mark.parametrize("bound", [True, False])
def test_openslide_itself_does_not_reach_the_slide_next_to_its_own(tmp_path: Path, *, bound: bool) -> None:
    """Even where no name is checked: the kernel refuses."""
    write_mrxs(tmp_path / "theirs.mrxs", noise(200, 200, seed=1))
    path = write_mrxs(tmp_path / "a.mrxs", noise(200, 200), data="../theirs/Data0000.dat")
    work = f"""
import openslide
try:
    slide = openslide.OpenSlide({str(path)!r})
    print(slide.read_region((0, 0), 0, (9, 9)).size)
except openslide.OpenSlideError:
    print("refused")
"""
    libraries = [Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib")] + [Path("/usr/lib").resolve()]
    places = [path, path.with_suffix("")] if bound else [tmp_path]
    assert tried([*places, *libraries], work) == ("refused" if bound else "(9, 9)")


def test_a_decoder_inherits_no_secret_and_no_file(
    tmp_path: Path, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MITOSIS_WEBHOOK_SECRET", "hush-hush-hush-hush-hush")
    with (tmp_path / "ledger").open("w") as ledger:
        os.set_inheritable(ledger.fileno(), True)
        path = write_pyramid(tmp_path / "a.tif", noise(300, 300))
        with open_isolated(decoders, path, name="a.tif") as slide:
            assert decoders._zygote is not None
            for pid in (find_pid(slide), decoders._zygote[0].pid):
                assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()
                opened = {os.readlink(handle) for handle in Path(f"/proc/{pid}/fd").iterdir()}
                assert str(tmp_path / "ledger") not in opened
            kinds = {os.readlink(handle).split(":")[0] for handle in Path(f"/proc/{find_pid(slide)}/fd").iterdir()}
            assert kinds <= {"/dev/null", "socket", "/memfd", str(path), f"/memfd:{'mitoserve-pixels'} (deleted)"}
            assert os.readlink(f"/proc/{find_pid(slide)}/cwd") == str(tmp_path)


def test_whoever_starts_decoders_hides_its_own_memory(tmp_path: Path, decoders: Decoders) -> None:
    with open_isolated(decoders, write_pyramid(tmp_path / "a.tif", noise(300, 300)), name="a.tif"):
        assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE


def test_no_process_of_the_same_user_reads_the_memory_of_one_that_hides_it() -> None:
    """As root without its capabilities, which is what a decoder is without Landlock."""
    program = """
import os, subprocess, sys
from serving.isolation.limits import DecoderLimits, hide_memory, restrict
os.environ["SECRET"] = "hush"
hide_memory()
child = '''
import os
from serving.isolation.limits import DecoderLimits, restrict
restrict(DecoderLimits())
for name in ("environ", "mem"):
    try:
        open(f"/proc/{os.getppid()}/{name}", "rb").close()
        print("read")
    except PermissionError:
        print("refused")
'''
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, env={**os.environ}).stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LONGEST_S, check=True
    )
    assert done.stdout.split() == ["refused", "refused"]


@needs_root
def test_decoders_run_as_another_user_who_cannot_enter_the_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "slide").mkdir()
    path = write_mrxs(state / "slide" / "a.mrxs", noise(200, 200))
    decoders = Decoders(DecoderLimits(), user="nobody")
    try:
        with open_isolated(decoders, path, name="a.mrxs") as slide:
            owner = Path(f"/proc/{find_pid(slide)}/status").read_text().split("Uid:")[1].split()
            assert owner[:4] == ["65534"] * 4
            assert slide.read(Region(0, 0, 200, 200), 200, 200).shape == (200, 200, 3)
            os.kill(find_pid(slide), signal.SIGKILL)
            assert slide.read(Region(0, 0, 200, 200), 200, 200).shape == (200, 200, 3)
    finally:
        decoders.close()
