from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.bodies import Body, open_body
from serving.core.errors import RequestError, SlideTooLargeError

FORM = "multipart/form-data; boundary=cut"


def form(data: bytes, *, name: str = "slide", filename: str | None = "a.svs") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{file}\r\nContent-Type: image/tiff\r\n\r\n'
    return head.encode() + data + b"\r\n--cut--\r\n"


def body_at(
    path: Path,
    *,
    content_type: str = FORM,
    filename: str | None = None,
    disposition: str | None = None,
    max_bytes: int = 10_000,
) -> Body:
    return open_body(path, max_bytes=max_bytes, content_type=content_type, disposition=disposition, filename=filename)


@given(data=st.binary(max_size=2000) | st.just(b"\r\n--cut\r\n--cu"), cuts=st.lists(st.integers(1, 40), max_size=30))
def test_a_form_gives_the_same_bytes_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("form") / "slide.part"
    data = data.replace(b"--cut", b"--cup")
    body, rest = body_at(path), form(data)
    for cut in cuts:
        body.write(rest[:cut])
        rest = rest[cut:]
    body.write(rest)
    assert body.finish() == "a.svs"
    assert path.read_bytes() == data
    assert body.size == len(data)


@pytest.mark.parametrize(
    ("filename", "disposition", "expected"),
    [
        ("q.svs", None, "q.svs"),
        (None, 'attachment; filename="h.svs"', "h.svs"),
        (None, "attachment; filename*=UTF-8''Schnitt%20%C3%A4.svs", "Schnitt ä.svs"),
        ("q.svs", 'attachment; filename="h.svs"', "q.svs"),
    ],
)
def test_a_raw_body_is_named_by_query_or_header(
    tmp_path: Path, filename: str | None, disposition: str | None, expected: str
) -> None:
    path = tmp_path / "slide.part"
    body = body_at(path, content_type="image/tiff", filename=filename, disposition=disposition)
    body.write(b"abc")
    body.write(b"def")
    assert body.finish() == expected
    assert path.read_bytes() == b"abcdef"


def test_a_form_keeps_names_beyond_ascii(tmp_path: Path) -> None:
    body = body_at(tmp_path / "slide.part")
    body.write(form(b"x", filename="Präparat 1.svs"))
    assert body.finish() == "Präparat 1.svs"


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"", "no file"),
        (b"--cut--\r\n", "no file"),
        (b"not a form at all", "malformed"),
        (form(b"x", name="other"), "another field"),
        (form(b"x", filename=None), "no file with a name"),
        (form(b"x", filename=""), "no file with a name"),
        (form(b"x")[:-12] + b"\r\n" + form(b"y"), "more than one part"),
        (form(b"whole slide")[:-12], "before its closing boundary"),
        (form(b"x")[:40], "before its closing boundary"),
        (b"--cut\r\nno header here\r\n\r\n", "malformed"),
        (b"--cut\r\n" + b"X-Long: " + b"y" * 100_000, "malformed"),
    ],
)
def test_a_broken_form_is_refused_with_the_way_to_do_it(tmp_path: Path, sent: bytes, message: str) -> None:
    body = body_at(tmp_path / "slide.part")
    with pytest.raises(RequestError, match=message) as caught:  # noqa: PT012 - some forms fail only at their end
        body.write(sent)
        body.finish()
    assert "curl -F slide=@FILE" in str(caught.value)


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=cut", f"{FORM}{'x' * 500}"],
)
def test_a_form_without_usable_boundary_is_refused(tmp_path: Path, content_type: str) -> None:
    with pytest.raises(RequestError):
        body_at(tmp_path / "slide.part", content_type=content_type)


def test_a_raw_body_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="filename"):
        body_at(tmp_path / "slide.part", content_type="")


def test_no_byte_past_the_limit_reaches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "slide.part"
    body = body_at(path, max_bytes=5, content_type="", filename="a.svs")
    body.write(b"12345")
    with pytest.raises(SlideTooLargeError, match="MITOSIS_MAX_UPLOAD_BYTES"):
        body.write(b"6")
    assert path.read_bytes() == b"12345"


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "slide.part"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        body_at(path, content_type="", filename="a.svs")
    assert path.read_bytes() == b"mine"
