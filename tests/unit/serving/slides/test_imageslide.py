"""A picture is decoded in no more memory than its header lets expect."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serving.core.errors import SlideTooLargeError
from serving.slides.imageslide import PictureMemoryError, bytes_to_decode, open_image
from tests.samples import noise, write_picture

SIDE = 4000
BANDS = 2**26
"""Bytes beside the whole picture: a band in five forms."""
PROGRAM = """
import resource, sys
from pathlib import Path
from typing import Any
from PIL import Image
from serving.slides.imageslide import open_image
open_image(Path(sys.argv[1]), "a")
status = Path("/proc/self/status").read_text()
used = int(status.split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[3]), resource.RLIM_INFINITY))
print(open_image(Path(sys.argv[2]), "b").width)
"""


@pytest.mark.parametrize(
    ("mode", "suffix", "how", "each"),
    [
        ("L", "png", {}, 4),
        ("RGBA", "png", {"compress_level": 1}, 7),
        ("RGB", "jpg", {}, 7),
        ("RGB", "jpg", {"progressive": True, "subsampling": 0}, 13),
        ("L", "jpg", {"progressive": True}, 6),
    ],
)
def test_what_a_header_says_is_enough(tmp_path: Path, mode: str, suffix: str, how: dict[str, Any], each: int) -> None:
    """The process may have no more beside a band. It has read a small picture before, and so all that it needs for any."""
    small, large = tmp_path / f"small.{suffix}", tmp_path / f"large.{suffix}"
    Image.new(mode, (64, 64)).save(small, **how)
    Image.new(mode, (SIDE, SIDE)).save(large, **how)
    with Image.open(small) as one, Image.open(large) as other:
        pixels = bytes_to_decode(other) - bytes_to_decode(one)
    assert pixels == each * (SIDE**2 - 64**2)
    program = [sys.executable, "-c", PROGRAM, str(small), str(large), str(pixels + BANDS)]
    assert subprocess.run(program, check=True, capture_output=True, text=True).stdout == f"{SIDE}\n"


def test_a_picture_that_needs_more_than_may_be_used_is_not_decoded(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", noise(300, 300))
    with Image.open(path) as image:
        needed = bytes_to_decode(image)
    assert open_image(path, "a.png", memory=needed).width == 300
    path.write_bytes(path.read_bytes()[:1000])  # decoding it would fail
    with pytest.raises(PictureMemoryError) as caught:
        open_image(path, "a.png", memory=needed - 1)
    assert caught.value.needed == needed


def test_a_side_beyond_any_scanners_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (2**20 + 1, 1)).save(path)
    with pytest.raises(SlideTooLargeError, match="px a side"):
        open_image(path, "a.png")
