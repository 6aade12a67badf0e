"""Text of many parts, a chunk at a time, so that memory does not grow with the number of objects."""

from collections.abc import Iterable, Iterator
from itertools import islice

PARTS = 2000
"""In one chunk."""


def in_chunks(before: str, parts: Iterable[str], after: str, *, between: str = ",") -> Iterator[bytes]:
    """`before`, the parts with `between` between them, and `after`, as UTF-8."""
    yield before.encode()
    left, first = iter(parts), True
    while chunk := list(islice(left, PARTS)):
        yield (("" if first else between) + between.join(chunk)).encode()
        first = False
    yield after.encode()
