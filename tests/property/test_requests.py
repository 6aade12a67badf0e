"""Whatever a client writes into headers, options and archives, the error is an intended one."""

import base64
import contextlib
import io
import json
import random
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from fastapi import Request
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.api.options import AnalysisOptions, to_options
from serving.api.tus import read_checksum, read_filename, read_upload_length
from serving.core.errors import MitoserveError
from serving.slides.slidefiles import find_slide
from serving.store.archives import is_archive
from serving.store.unpacking import extract_in_process

pytestmark = pytest.mark.property
MIB = 2**20

latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=80)
"""What a header may hold."""
words = st.sampled_from(["filename", "name", "sha1", "sha256", "md5", " ", ",", "=", "YS5wbmc=", "0", "9" * 30, "-1"])
headers = st.one_of(latin, st.lists(words, max_size=8).map("".join))


def request(name: str, value: str) -> Request:
    return Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1"))]})


@given(headers)
@example("filename é")
def test_upload_metadata_names_a_file_or_is_refused(metadata: str) -> None:
    with contextlib.suppress(MitoserveError):
        assert read_filename(metadata)


@given(st.text(min_size=1, max_size=100))
def test_every_file_name_arrives(name: str) -> None:
    encoded = base64.b64encode(name.encode("utf-8", "replace")).decode()
    assert read_filename(f"filetype YQ==, filename {encoded}") == name.encode("utf-8", "replace").decode()


@given(headers)
@example("sha256 é")
def test_a_checksum_is_a_digest_or_is_refused(header: str) -> None:
    with contextlib.suppress(MitoserveError):
        stated = read_checksum(request("upload-checksum", header))
        assert stated is not None
        assert len(stated[1]) in (16, 20, 32)


@given(st.one_of(headers, st.integers().map(str)))
def test_a_length_is_positive_and_bounded_or_is_refused(header: str) -> None:
    with contextlib.suppress(MitoserveError):
        assert 0 < read_upload_length(request("upload-length", header), MIB) <= MIB


numbers = st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=5))
points = st.lists(st.lists(numbers, max_size=3), max_size=5).map(json.dumps)
regions = st.one_of(points, st.text(max_size=30), st.lists(numbers.map(str), max_size=5).map(",".join))


@given(st.fixed_dictionaries({}, optional={"mpp": numbers, "roi": regions, "threshold": numbers, "cascade": numbers}))
@example({"roi": "[" * 50_000})
def test_options_are_understood_or_refused(stated: dict[str, object]) -> None:
    with contextlib.suppress(MitoserveError, ValidationError):
        to_options(AnalysisOptions.model_validate(stated))


names = st.sampled_from(["S.mrxs", "S/Slidedat.ini", "../x", "/etc/x", "S/../../x", "a.dcm", "b/a.dcm", "C:\\x", "S"])
entries = st.lists(st.tuples(names, st.binary(max_size=300)), max_size=5)


@given(st.sampled_from(["zip", "w", "w:gz", "w:bz2", "w:xz"]), entries, st.integers(0, 2**32), st.integers(0, 12))
def test_damaged_archives_unpack_inside_their_folder_or_are_refused(
    kind: str, content: list[tuple[str, bytes]], seed: int, flips: int
) -> None:
    chance = random.Random(seed)
    data = bytearray(_pack(kind, content))
    for _turn in range(flips):
        data[chance.randrange(len(data))] ^= chance.randint(1, 255)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "archive"
        path.write_bytes(data)
        if is_archive(path):
            with contextlib.suppress(MitoserveError):
                extract_in_process(path, folder / "out", MIB)
                find_slide(folder / "out", "the archive")
        assert {entry.name for entry in folder.iterdir()} <= {"archive", "out"}
        assert not any(entry.is_symlink() for entry in folder.rglob("*"))


def _pack(kind: str, content: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in dict(content).items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as archive:  # type: ignore[call-overload]
            for name, data in content:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
