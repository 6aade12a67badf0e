"""Slides in decoder processes: the same pixels and errors, and what is left when a decoder is killed or kills itself."""

import os
import random
import re
import select
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serving.core.errors import (
    DecoderError,
    EmptyUploadError,
    MitoserveError,
    SlideTooLargeError,
    UnreadableSlideError,
    UnsupportedFormatError,
)
from serving.core.geometry import Region
from serving.isolation.decoder_process import KEPT_BYTES, DecoderDiedError
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.isolation.slide import IsolatedSlide, open_isolated
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from tests.fakes import DotDetector, plant, tissue
from tests.samples import noise, write_forged_tile, write_mrxs, write_picture, write_pyramid, write_truncated

OWN_WORDS = (
    r"m\.mrxs cannot be opened: it is damaged, or some of its files are; copy it again from the scanner"
    r"|m\.mrxs is damaged at level \d+, x \d+, y \d+; copy it again from the scanner"
    r"|m\.mrxs names a file that is not in its own folder; a slide may only name files beside it: "
    r"copy it again from the scanner, with all its files"
    r"|m\.mrxs has an index of its files that is damaged; copy it again from the scanner"
    r"|m\.mrxs ended its reader 2 times at the same place \(the reader was ended by SIG\w+\): the file is damaged, .*"
    r"|the slide states -?\d+ x -?\d+ px; the limit is \d+ px a side and 4e\+11 px in all"
)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(DecoderLimits())
    yield made
    made.close()


@pytest.fixture
def slide(tmp_path: Path, decoders: Decoders) -> Iterator[IsolatedSlide]:
    with open_isolated(decoders, write_pyramid(tmp_path / "a.tif", noise(900, 700)), name="a.tif") as opened:
        yield opened


def find_pid(slide: IsolatedSlide) -> int:
    assert slide._current is not None
    return slide._current[0].pid


def is_gone(pid: int) -> bool:
    """Whether a process ends within seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


def test_an_isolated_slide_is_the_slide(tmp_path: Path, slide: IsolatedSlide) -> None:
    with open_slide(tmp_path / "a.tif") as here:
        assert (slide.width, slide.height, slide.mpp, slide.vendor) == (here.width, here.height, here.mpp, here.vendor)
        for region, width, height in [
            (Region(0, 0, 300, 200), 300, 200),
            (Region(-50, 650, 1000, 100), 1000, 100),
            (Region(100, 100, 500, 500), 250, 250),
            (Region(0, 0, 1, 1), 1, 1),
        ]:
            assert np.array_equal(slide.read(region, width, height), here.read(region, width, height))
        assert np.array_equal(slide.thumbnail(333), here.thumbnail(333))


def test_a_large_read_leaves_no_memory_behind(tmp_path: Path, decoders: Decoders) -> None:
    pixels = noise(2000, 1500)
    whole = Region(0, 0, 2000, 1500)
    with open_isolated(decoders, write_picture(tmp_path / "a.png", pixels), name="a.png") as slide:
        for _ in range(2):
            assert np.array_equal(slide.read(whole, 2000, 1500), pixels)
            assert shared_bytes() < KEPT_BYTES < pixels.nbytes
        assert np.array_equal(slide.read(Region(9, 9, 50, 50), 50, 50), pixels[9:59, 9:59])


def shared_bytes() -> int:
    """Memory that this process shares with decoders."""
    found, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            counts = "mitoserve-pixels" in line
        elif counts and line.startswith("Rss:"):
            found += int(line.split()[1]) * 1024
    return found


def test_an_analysis_is_the_same_from_an_isolated_slide(tmp_path: Path, decoders: Decoders) -> None:
    pixels = tissue(1500, 1200)
    plant(pixels, 700, 600)
    path = write_picture(tmp_path / "field.png", pixels, mpp=0.25)
    with open_slide(path) as here, open_isolated(decoders, path, name="field.png", sha256=here.sha256) as there:
        reports = [
            score_slide(s, DotDetector()).report.model_dump(exclude={"timing", "software"}) for s in (here, there)
        ]
    assert reports[0] == reports[1]
    assert reports[0]["counts"]["mitotic_figures"] == 1


def test_reads_come_from_several_threads(slide: IsolatedSlide) -> None:
    whole = slide.read(Region(0, 0, 900, 700), 900, 700)
    with ThreadPoolExecutor(5) as pool:
        parts = list(pool.map(lambda x: slide.read(Region(x, 100, 50, 300), 50, 300), range(0, 850, 25)))
    for x, part in zip(range(0, 850, 25), parts, strict=True):
        assert np.array_equal(part, whole[100:400, x : x + 50])


def test_errors_are_those_of_an_open_in_this_process(tmp_path: Path, decoders: Decoders) -> None:
    write_pyramid(tmp_path / "whole.tif", noise(600, 500))
    write_truncated(tmp_path / "cut.tif", tmp_path / "whole.tif")
    (tmp_path / "empty.svs").touch()
    (tmp_path / "text.svs").write_text("text")
    cases = [
        ("cut.tif", UnreadableSlideError, "truncated"),
        ("empty.svs", EmptyUploadError, "no bytes"),
        ("text.svs", UnsupportedFormatError, "not a slide"),
        ("absent.svs", UnreadableSlideError, "no file"),
    ]
    for file, kind, message in cases:
        with pytest.raises(kind, match=message):
            open_isolated(decoders, tmp_path / file, name=file)


def test_a_killed_decoder_is_replaced_unnoticed(slide: IsolatedSlide) -> None:
    before = slide.read(Region(0, 0, 100, 100), 100, 100)
    for _ in range(3):
        dead = find_pid(slide)
        os.kill(dead, signal.SIGKILL)
        assert np.array_equal(slide.read(Region(0, 0, 100, 100), 100, 100), before)
        assert find_pid(slide) != dead


def test_a_decoder_that_hangs_is_ended_and_replaced(tmp_path: Path) -> None:
    decoders = Decoders(DecoderLimits(read_wall_s=2.0))
    path = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    with open_isolated(decoders, path, name="a.tif") as slide:
        hanging = find_pid(slide)
        os.kill(hanging, signal.SIGSTOP)
        assert slide.read(Region(0, 0, 10, 10), 10, 10).shape == (10, 10, 3)
        assert is_gone(hanging)
    decoders.close()


def test_a_slide_that_ends_its_decoder_fails_after_two_tries(tmp_path: Path) -> None:
    """OpenSlide allocates the tile that a TIFF states; where that fails, its GLib ends the process."""
    path = write_forged_tile(tmp_path / "forged.tif", noise(256, 256), tile=8192)
    good = write_pyramid(tmp_path / "good.tif", noise(300, 300))
    decoders = Decoders(DecoderLimits(memory_bytes=200 * 2**20))
    with open_isolated(decoders, good, name="good.tif") as neighbour:
        with pytest.raises(DecoderError, match=r"forged.tif ended its reader 2 times.*SIG"):
            open_isolated(decoders, path, name="forged.tif")
        assert neighbour.read(Region(0, 0, 300, 300), 300, 300).shape == (300, 300, 3)
    decoders.close()


def test_a_picture_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (12_000, 12_000), 200).save(path)
    decoders = Decoders(DecoderLimits(memory_bytes=300 * 2**20))
    with pytest.raises(SlideTooLargeError, match=r"large.png takes 844435456 bytes.*MITOSIS_DECODER_MEMORY_BYTES"):
        open_isolated(decoders, path, name="large.png")
    decoders.close()


def test_a_read_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """SIGXCPU, as the kernel sends it when a read has used its processor seconds."""
    decoders = Decoders(DecoderLimits())
    with open_isolated(decoders, write_pyramid(tmp_path / "a.tif", noise(300, 300)), name="a.tif") as slide:
        assert slide._current is not None
        decoder = slide._current[0]
        os.kill(decoder.pid, signal.SIGXCPU)
        with pytest.raises(DecoderDiedError, match="processor time"):
            decoder.pixels({"region": (0, 0, 10, 10), "width": 10, "height": 10}, 300)
    decoders.close()


def test_nothing_is_left_when_a_slide_is_closed(slide: IsolatedSlide) -> None:
    pid = find_pid(slide)
    handles = len(os.listdir("/proc/self/fd"))
    slide.close()
    assert is_gone(pid)
    assert len(os.listdir("/proc/self/fd")) < handles
    with pytest.raises(ValueError, match="closed"):
        slide.read(Region(0, 0, 10, 10), 10, 10)


def test_a_decoder_holds_no_secret_and_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MITOSIS_WEBHOOK_SECRET", "hush")
    decoders = Decoders(DecoderLimits())
    with open_isolated(decoders, write_pyramid(tmp_path / "a.tif", noise(300, 300)), name="a.tif") as slide:
        assert decoders._zygote is not None
        assert b"hush" not in Path(f"/proc/{decoders._zygote[0].pid}/environ").read_bytes()
        bounds = Path(f"/proc/{find_pid(slide)}/limits").read_text().splitlines()
        (size,) = (line.split()[3] for line in bounds if line.startswith("Max file size"))
        assert size == "0"
    decoders.close()


def test_a_zygote_that_is_killed_is_replaced(tmp_path: Path) -> None:
    decoders = Decoders(DecoderLimits())
    path = write_pyramid(tmp_path / "a.tif", noise(300, 300))
    with open_isolated(decoders, path, name="a.tif") as slide:
        assert decoders._zygote is not None
        decoders._zygote[0].kill()
        assert slide.read(Region(0, 0, 10, 10), 10, 10).shape == (10, 10, 3)
        with open_isolated(decoders, path, name="b.tif") as other:
            assert other.width == 300
    decoders.close()


def test_errors_are_the_projects_own_words_and_the_log_has_the_details(
    tmp_path: Path, decoders: Decoders, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a library says may quote paths and bytes of files."""
    write_mrxs(tmp_path / "Miller.mrxs", noise(100, 80), data="absent.dat")
    (tmp_path / "Miller" / "absent.dat").write_bytes(b"root:x:0:0")
    whole = write_picture(tmp_path / "a.png", noise(300, 300)).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level("INFO", logger="mitoserve.decoders"):
        for file in ("Miller.mrxs", "a.png"):
            with pytest.raises(UnreadableSlideError) as caught:
                open_isolated(decoders, tmp_path / file, name=file)
            for foreign in ("0x72", "JPEG", "truncated", "Error", str(tmp_path)):
                assert foreign not in str(caught.value)
    assert "OpenSlideError" in caplog.text
    assert "Miller" not in caplog.text


def test_mutated_slides_never_quote_a_library(tmp_path: Path, decoders: Decoders) -> None:
    """Errors of mutated slides of many formats are among the project's own sentences."""
    write_mrxs(tmp_path / "m.mrxs", noise(200, 200))
    parts = {file.name: file.read_bytes() for file in (tmp_path / "m").iterdir()}
    chance, said = random.Random(5), []
    for turn in range(60):
        file = sorted(parts)[turn % len(parts)]
        data = bytearray(parts[file])
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] ^= chance.randint(1, 255)
        (tmp_path / "m" / file).write_bytes(data)
        try:
            with open_isolated(decoders, tmp_path / "m.mrxs", name="m.mrxs") as slide:
                slide.read(Region(0, 0, 200, 200), 200, 200)
        except MitoserveError as error:
            said.append(str(error))
        (tmp_path / "m" / file).write_bytes(parts[file])
    assert len(said) > 10
    assert [message for message in said if not re.fullmatch(OWN_WORDS, message)] == []
