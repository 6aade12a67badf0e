"""Header fields as clients write them: every way that names a file gives the name, and no field takes long or ends in a crash."""

import base64
import contextlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.bodies import open_body
from serving.api.headers import (
    MAX_DIGITS,
    MAX_PARAMETERS_BYTES,
    disposition_name,
    is_json,
    media_type,
    parameters,
    whole_number,
)
from serving.core.errors import RequestError


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def extend(name: str) -> str:
    return f"UTF-8''{quote(name, safe='')}"


def encoded_word(name: str) -> str:
    return f'"=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="'


WRITERS: dict[str, Callable[[str], bytes]] = {
    "RFC 6266": lambda n: f"attachment; filename=fallback.svs; filename*={extend(n)}".encode(),
    "RFC 6266, the other way round": lambda n: f'attachment; filename*={extend(n)}; filename="fallback.svs"'.encode(),
    ".NET": lambda n: (
        f"form-data; name=slide; filename={encoded_word(n)}; filename*={extend(n).lower()[:7]}{extend(n)[7:]}".encode()
    ),
    ".NET without the extended name": lambda n: f"form-data; name=slide; filename={encoded_word(n)}".encode(),
    "curl": lambda n: f"form-data; name={quoted('slide')}; filename={quoted(n)}".encode(),
    "capitals and blanks": lambda n: f"Form-Data ;  NAME = slide ;\tFileName = {quoted(n)}".encode(),
}
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda n: "=?" not in n and "%22" not in n
)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@given(name=NAMES)
def test_a_name_is_read_as_its_client_wrote_it(writer: Callable[[str], bytes], name: str) -> None:
    assert disposition_name(writer(name)) == name


@given(name=NAMES.filter(lambda n: not {'"', "\\"} & set(n)))
def test_a_browsers_form_gives_the_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Quotation marks as %22 (WHATWG), everything else raw; through the whole body, whatever the client calls its field type."""
    path = tmp_path_factory.mktemp("form") / "slide.part"
    head = f'--cut\r\nContent-Disposition: form-data; name="slide"; filename="%22{name}"\r\nContent-Type: image/tiff\r\n\r\n'
    for content_type in ('Multipart/Form-Data; Boundary="cut"', "multipart/form-data;boundary=cut;charset=utf-8"):
        body = open_body(path, max_bytes=100, content_type=content_type, disposition=None, filename=None)
        body.write(head.encode() + b"x\r\n--cut--\r\n")
        assert body.finish() == f'"{name}'
        path.unlink()


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b'attachment; filename="Pr\xc3\xa4parat.svs"', "Präparat.svs"),
        (b'attachment; filename="Pr\xe4parat.svs"', "Präparat.svs"),
        (b"attachment; filename*=iso-8859-1'de'Pr%E4parat.svs", "Präparat.svs"),
        (b"attachment; filename*=utf-8''%ff.svs; filename=a.svs", "a.svs"),
        (b"attachment; filename*=klingon''a.svs; filename=b.svs", "b.svs"),
        (b'attachment; filename="C:\\slides\\new\\a.svs"', "C:\\slides\\new\\a.svs"),
        (b'attachment; filename="a;b=c.svs"; filename="d.svs"', "a;b=c.svs"),
        (b"attachment", None),
        (b"attachment; name=filename", None),
        (b"", None),
    ],
)
def test_names_that_were_read_wrongly_once(field: bytes, name: str | None) -> None:
    assert disposition_name(field) == name


@given(field=st.binary(max_size=300) | st.text(alphabet="f ilename*=;\"\\'%=?utf-8BQ", max_size=300).map(str.encode))
def test_no_field_ends_in_anything_but_its_parameters(field: bytes) -> None:
    for name in (disposition_name(field), *parameters(field).values()):
        assert name is None or isinstance(name, str)


def test_a_field_of_any_length_is_refused_or_read() -> None:
    with pytest.raises(RequestError, match="shorter"):
        disposition_name(b'attachment; filename="' + b'";filename="' * MAX_PARAMETERS_BYTES)


@given(kind=st.sampled_from(["application/json", "application/problem+json", "text/plain", "application/offset+octet-stream"]),
       blanks=st.sampled_from(["", " ", "\t"]), rest=st.sampled_from(["", ";charset=utf-8", '; charset="utf-8"', ";"]),
       capitals=st.booleans())  # fmt: skip
def test_media_types_are_compared_as_types(kind: str, blanks: str, rest: str, *, capitals: bool) -> None:
    written = blanks + (kind.upper() if capitals else kind) + blanks + rest
    assert media_type(written) == kind
    assert is_json(written) == kind.endswith("json")


def test_a_type_that_only_contains_the_word_is_no_json() -> None:
    assert not is_json("multipart/form-data; boundary=application/json")
    assert not is_json("application/jsonx")


@given(text=st.text(max_size=30) | st.integers(0, 10**30).map(str) | st.just("9" * 5000))
def test_numbers_are_read_or_refused(text: str) -> None:
    found = whole_number(text)
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        assert found == int(text)
    else:
        assert found is None


def test_a_form_whose_part_has_no_name_is_refused(tmp_path: Path) -> None:
    body = open_body(
        tmp_path / "a", max_bytes=9, content_type="multipart/form-data; boundary=c", disposition=None, filename=None
    )
    with contextlib.closing(body), pytest.raises(RequestError, match="no file with a name"):
        body.write(b'--c\r\nContent-Disposition: form-data; name="slide"; filename*=\r\n\r\nx\r\n--c--\r\n')
