"""The opset of an ONNX file, read from its outermost fields: serving has no onnx package, and needs no more of it."""

from collections.abc import Iterator
from pathlib import Path

from serving.core.errors import ModelError

OPSETS = range(17, 22)
"""17 is what training exports; 21 is the newest that every ONNX Runtime from 1.20 on runs."""
_OPSET_IMPORT, _DOMAIN, _VERSION = 8, 1, 2
"""Fields of ModelProto and of OperatorSetIdProto (onnx.proto)."""
_DEFAULT = ("", "ai.onnx")


def read_opset(path: Path) -> int:
    """The version of the default operator set that a graph states.

    Raises
    ------
    ModelError
        If the file is no ONNX graph, or states none.
    """
    try:
        fields = _fields(path.read_bytes())
        found = [
            _parse_import(field) for number, field in fields if number == _OPSET_IMPORT and isinstance(field, bytes)
        ]
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX graph: {error}") from error
    versions = [version for domain, version in found if domain in _DEFAULT]
    if not versions:
        raise ModelError(f"{path} is not an ONNX graph: it states no operator set")
    return versions[0]


def _parse_import(message: bytes) -> tuple[str, int]:
    fields = dict(_fields(message))
    domain, version = fields.get(_DOMAIN, b""), fields.get(_VERSION, 0)
    if not isinstance(domain, bytes) or not isinstance(version, int):
        raise ValueError("a field has another type than onnx.proto states")
    return domain.decode(), version


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field of a message in protobuf's wire format; values of fixed size come as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind} at byte {at}")
        size = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            size, at = _varint(message, at)
        if at + size > len(message):
            raise ValueError(f"it ends within the field at byte {at}")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place after it."""
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")
