"""Ids of slides: other names or contents never give the same."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving.slides.hashing import encode_files, hash_several, slide_sha256
from serving.slides.slidefiles import slide_files
from tests.dicom import write_dicom_slide
from tests.samples import noise

pytestmark = pytest.mark.property

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8)
files = st.lists(st.tuples(names, st.binary(max_size=40)), max_size=5)
Files = list[tuple[str, bytes]]


def read_stated(content: Files) -> list[tuple[str, int, bytes]]:
    return [(name, len(data), hashlib.sha256(data).digest()) for name, data in content]


def read_back(text: bytes) -> Iterator[tuple[str, int, bytes]]:
    """What was encoded: bytes that can be read back in one way only are of one sequence only."""
    while text:
        length = int.from_bytes(text[:8], "big")
        name, rest = text[8 : 8 + length], text[8 + length :]
        yield name.decode("utf-8", "surrogateescape"), int.from_bytes(rest[:8], "big"), rest[8:40]
        text = rest[40:]


@given(files)
def test_an_encoding_is_of_one_sequence_of_files(content: Files) -> None:
    assert list(read_back(encode_files(read_stated(content)))) == read_stated(content)


@given(files, files)
@example([("0", b""), ("1.dcm", b"a"), ("2", b"b")], [("0", b"1.dcm\0a"), ("2", b"b")])
@example([("a", b"bc")], [("ab", b"c")])
@example([("a", b""), ("b", b"")], [("ab", b"")])
@example([("a", b"x"), ("b", b"y")], [("a", b"y"), ("b", b"x")])
def test_other_files_have_another_id(some: Files, others: Files) -> None:
    assert (hash_several(read_stated(some)) == hash_several(read_stated(others))) == (some == others)


@given(files)
def test_no_single_slide_has_the_id_of_several(content: Files) -> None:
    """What is hashed for several files is shorter than any slide's header, and begins as no slide does."""
    inner = hashlib.sha256(encode_files(read_stated(content))).digest()
    forged = b"Mitoserve slide of several files, 2\n" + inner
    assert hashlib.sha256(forged).hexdigest() == hash_several(read_stated(content))
    assert len(forged) < 132


def test_files_that_were_cut_up_otherwise_are_another_slide(tmp_path: Path) -> None:
    """{0 + "1.dcm\\0" + 1, 2} had the id of {0, 1, 2}."""
    for name, size in (("0.dcm", 900), ("1.dcm", 600), ("2.dcm", 300)):
        made = write_dicom_slide(tmp_path / "made", noise(size, size), mpp=225 / size, name="s") / "level-0.dcm"
        made.rename(tmp_path / "made" / name)
    forged = tmp_path / "forged"
    forged.mkdir()
    zero, one, two = (path.read_bytes() for path in sorted((tmp_path / "made").iterdir()))
    (forged / "0.dcm").write_bytes(zero + b"1.dcm\0" + one)
    (forged / "2.dcm").write_bytes(two)
    assert slide_files(forged).names == ("0.dcm", "2.dcm")
    assert slide_sha256(forged) != slide_sha256(tmp_path / "made")
