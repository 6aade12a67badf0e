"""Request bodies that hold one slide, written to a file as they arrive: raw, or the field `slide` of a form."""

import hashlib
from pathlib import Path
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from serving.api.headers import as_sent, disposition_name, media_type, parameters
from serving.core.errors import RequestError, SlideTooLargeError

FIELD = "slide"
_FORM_HELP = f"send one file in the form field {FIELD!r}: curl -F {FIELD}=@FILE"
_RAW_HELP = "name the file: add ?filename=NAME or a Content-Disposition header"


class Body(Protocol):
    """A request body on its way to a file."""

    @property
    def size(self) -> int:
        """Bytes of the slide so far."""

    @property
    def sha256(self) -> str:
        """Hash of the slide so far."""

    def write(self, data: bytes) -> None:
        """Take the next bytes of the request body."""

    def finish(self) -> str:
        """Close the file and return its name as the client stated it."""

    def close(self) -> None:
        """Close the file, whatever state it is in."""


def open_body(
    path: Path, *, max_bytes: int, content_type: str, disposition: str | None, filename: str | None
) -> "Body":
    """The body that these request headers announce, to be written to the new file `path`.

    Raises
    ------
    RequestError
        If a form has no boundary or a raw body has no file name.
    """
    kind = media_type(content_type)
    if not kind.startswith("multipart/"):
        stated = filename or (None if disposition is None else disposition_name(as_sent(disposition)))
        if not stated:
            raise RequestError(f"the upload has no file name; {_RAW_HELP}, or {_FORM_HELP}")
        return RawBody(BoundedFile(path, max_bytes), stated)
    boundary = as_sent(parameters(as_sent(content_type)).get("boundary", ""))
    if kind != "multipart/form-data" or not boundary:
        raise RequestError(f"the body is no multipart/form-data with a boundary; {_FORM_HELP}")
    return FormBody(BoundedFile(path, max_bytes), boundary, filename)


class BoundedFile:
    """A file that must not exist before and refuses to grow past `max_bytes`."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._handle = path.open("xb", buffering=0)
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Hash of what was written."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append `data`; raises `SlideTooLargeError` at the limit."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[self._handle.write(view) :]

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._handle.close()


class RawBody:
    """The slide is the body."""

    def __init__(self, file: BoundedFile, filename: str) -> None:
        self._file, self._filename = file, filename

    @property
    def size(self) -> int:
        """Bytes of the slide so far."""
        return self._file.size

    @property
    def sha256(self) -> str:
        """Hash of the slide so far."""
        return self._file.sha256

    def write(self, data: bytes) -> None:
        """Take the next bytes of the request body."""
        self._file.write(data)

    def finish(self) -> str:
        """Close the file and return its name."""
        self.close()
        return self._filename

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FormBody:
    """The slide is the one file of a multipart form; the parser holds no more than a header and a boundary."""

    def __init__(self, file: BoundedFile, boundary: bytes, filename: str | None) -> None:
        self._file = file
        self._filename = filename
        self._parts = 0
        self._header, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._complete = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._open_part,
                    "on_part_data": lambda data, start, end: self._file.write(data[start:end]),
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            file.close()
            raise RequestError(f"the form's boundary cannot be used: {error}") from error

    @property
    def size(self) -> int:
        """Bytes of the slide so far."""
        return self._file.size

    @property
    def sha256(self) -> str:
        """Hash of the slide so far."""
        return self._file.sha256

    def write(self, data: bytes) -> None:
        """Take the next bytes of the request body.

        Raises
        ------
        RequestError
            If the form is malformed, or holds a second part or one that is not the file `slide`.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise RequestError(f"the form is malformed: {error}; {_FORM_HELP}") from error

    def finish(self) -> str:
        """Close the file and return its name.

        Raises
        ------
        RequestError
            If the form ended early or held no file.
        """
        self.close()
        if self._parts == 0:
            raise RequestError(f"the form holds no file; {_FORM_HELP}")
        if not self._complete or self._filename is None:
            raise RequestError(f"the form ends before its closing boundary; {_FORM_HELP}")
        return self._filename

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise RequestError(f"the form holds more than one part; {_FORM_HELP}")

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _open_part(self) -> None:
        if parameters(self._disposition).get("name") != FIELD:
            raise RequestError(f"the form holds another field than {FIELD!r}; {_FORM_HELP}")
        self._filename = self._filename or disposition_name(self._disposition)
        if not self._filename:
            raise RequestError(f"the form field {FIELD!r} is no file with a name; {_FORM_HELP}")

    def _end(self) -> None:
        self._complete = True


def too_large(max_bytes: int) -> SlideTooLargeError:
    """The error for a slide of more than `max_bytes`."""
    return SlideTooLargeError(
        f"the slide has more than {max_bytes} bytes, which is this server's limit; "
        "its operator can raise MITOSIS_MAX_UPLOAD_BYTES"
    )
