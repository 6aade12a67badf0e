"""Header fields, read as their standards write them: media types, dispositions, numbers, fields on several lines."""

import re
from email.errors import HeaderParseError
from email.header import decode_header
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from serving.core.errors import RequestError

MAX_PARAMETERS_BYTES = 4096
"""Of a field with parameters: a name of 1,000 characters, written twice."""
MAX_DIGITS = 18
"""Of a number: 2^62 has 19."""

_PARAMETER = re.compile(r""";[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)""", re.DOTALL)
_EXTENDED = re.compile(r"([A-Za-z0-9_-]{1,20})'[A-Za-z0-9-]{0,40}'(.*)", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[A-Za-z0-9_-]{1,20}\?[BbQq]\?[^?]*\?=")


def join_field_lines(request: Request, name: str) -> str:
    """The value of a field that may stand on several lines (RFC 9110, 5.3); empty where there is none."""
    return ", ".join(request.headers.getlist(name))


def media_type(content_type: str) -> str:
    """Type and subtype of a `Content-Type`, in lower case and without parameters (RFC 9110, 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Whether a `Content-Type` is JSON, or another type in its syntax (RFC 6839, 3.1)."""
    found = media_type(content_type)
    return found in ("application/json", "text/json") or found.endswith("+json")


def whole_number(text: str) -> int | None:
    """The number that the text is in digits; None where it is none or has more than `MAX_DIGITS`."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else None


def parameters(field: bytes) -> dict[str, str]:
    """The parameters of a field, by their names in lower case; the first of several of one name.

    field : as it was sent; in UTF-8, which many clients send although the standard has no place for it, else in Latin-1

    Raises
    ------
    RequestError
        If it is too long.
    """
    if len(field) > MAX_PARAMETERS_BYTES:
        raise RequestError(
            f"a header has more than {MAX_PARAMETERS_BYTES} bytes of parameters; give the file a shorter name"
        )
    try:
        text = field.decode()
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        found.setdefault(name.lower(), _unquote(value.strip()))
    return found


def disposition_name(field: bytes) -> str | None:
    """The file name in a `Content-Disposition` (RFC 6266, RFC 7578); None where there is none.

    `filename*` comes before `filename`, wherever both stand. A plain one may be an encoded word of MIME, as .NET writes it, or
    hold `%22` for a quotation mark, as browsers write it in forms.
    """
    found = parameters(field)
    extended = _decode_extended(found.get("filename*", ""))
    if extended:
        return extended
    plain = found.get("filename")
    if plain is None:
        return None
    return _words(plain) if _ENCODED_WORD.search(plain) else plain.replace("%22", '"')


def as_sent(text: str) -> bytes:
    """A header field as it was sent, from what Starlette made of it."""
    return text.encode("latin-1", "replace")


def _unquote(value: str) -> str:
    """The content of a quoted string; a backslash before anything but a quotation mark or another is part of a Windows path."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value.strip('"')
    return re.sub(r'\\(["\\])', r"\1", value[1:-1])


def _decode_extended(value: str) -> str:
    """The text of an extended value (RFC 8187); empty where it is malformed."""
    found = _EXTENDED.fullmatch(value)
    if found is None or found[1].lower() not in ("utf-8", "iso-8859-1"):
        return ""
    try:
        return unquote_to_bytes(found[2]).decode(found[1])
    except UnicodeDecodeError:
        return ""


def _words(value: str) -> str:
    """The text of encoded words (RFC 2047); as it stands where they are malformed."""
    try:
        parts = [
            part.decode(charset or "ascii") if isinstance(part, bytes) else part
            for part, charset in decode_header(value)
        ]
    except (HeaderParseError, LookupError, ValueError):
        return value
    return "".join(parts)
