"""What a decoder process does: open one slide, decode what is asked for into shared memory, end when nobody asks.

A message is one JSON object in one packet. Pixels never pass through the socket, nor does what a file states at length: they are
written into the memory file that belongs to it.
"""

import base64
import json
import mmap
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import MitoserveError, UnreadableSlideError
from serving.core.geometry import Region
from serving.isolation.landlock import libraries, restrict_reading
from serving.isolation.limits import DecoderLimits, allow_cpu
from serving.slides.colours import with_srgb
from serving.slides.companions import find_companion_folder
from serving.slides.imageslide import PictureMemoryError
from serving.slides.opening import open_slide
from serving.slides.slide import Slide

MESSAGE_BYTES = 2**16
"""Of one packet: a request has a dozen numbers and a path, an answer a sentence."""
STATED_BYTES = 2**24
"""Of what a slide states: ICC profiles have up to 4 MB, and descriptions of scanners some kB."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One of the parent's lines to this process: requests come and answers go by the socket, pixels by the memory."""

    socket: socket.socket
    memory: int
    """Handle of the memory file."""


def serve(lines: Sequence[Channel], limits: DecoderLimits) -> None:
    """Open the slide that the first request names, then answer reads on all lines until the parent closes them.

    The working folder is the slide's, and from now on this process sees nothing but the slide and Python's libraries.
    """
    first = lines[0]
    request = _receive(first)
    if request is None:
        return
    allow_cpu(min(limits.opening_cpu_s, limits.read_cpu_s))
    path, name = Path(request["path"]), request["name"]
    names = (str(path), path.name, name)
    try:
        restrict_reading([*libraries(), *_places(path)])
        slide = open_slide(path, name=name, memory=limits.memory_bytes)
    except (MitoserveError, OSError, MemoryError) as error:
        _answer(first, _failure(error, names))
        return
    facts = {
        name: getattr(slide, name)
        for name in ("width", "height", "pixel_size", "vendor", "bounds", "notes", "stored_scale")
    }
    _answer(first, {**facts, "ok": True})
    for line in lines[1:]:
        threading.Thread(target=_answer_reads, args=(line, slide, limits, names), daemon=True).start()
    _answer_reads(first, slide, limits, names)


def _places(path: Path) -> list[Path]:
    """What belongs to the slide: its main file, and the folder of further ones."""
    try:
        folder = find_companion_folder(path)
    except OSError:  # there is no such file, or it cannot be read: opening it says so
        return []
    return [place for place in {path, path if folder is None else folder} if place.exists()]


def _answer_reads(line: Channel, slide: Slide, limits: DecoderLimits, names: Sequence[str]) -> None:
    shared = mmap.mmap(line.memory, 0) if _size(line.memory) else None
    managed = with_srgb(slide)  # reads the profile when it is first asked for
    while (request := _receive(line)) is not None:
        allow_cpu(limits.read_cpu_s)
        try:
            shown = managed if request.get("srgb") else slide
            content = _stated(slide) if "stated" in request else _pixels(shown, request)
            if shared is None or len(shared) < content.nbytes:
                shared = mmap.mmap(line.memory, 0)
            np.frombuffer(shared, np.uint8, content.nbytes).reshape(content.shape)[:] = content
        except (MitoserveError, OSError, MemoryError, ValueError) as error:
            _answer(line, _failure(error, names))
        else:
            _answer(line, {"ok": True, "shape": content.shape})


def _pixels(slide: Slide, request: dict[str, Any]) -> NDArray[np.uint8]:
    if "max_side" in request:
        return slide.thumbnail(request["max_side"])
    return slide.read(Region(*request["region"]), request["width"], request["height"])


def _stated(slide: Slide) -> NDArray[np.uint8]:
    """What the file states, as bytes of JSON."""
    profile = slide.icc_profile
    stated = {
        "level_dimensions": slide.level_dimensions,
        "properties": dict(slide.properties),
        "associated_images": slide.associated_images,
        "icc_profile": None if profile is None else base64.b64encode(profile).decode(),
    }
    content = json.dumps(stated).encode()
    if len(content) > STATED_BYTES:
        raise UnreadableSlideError("the slide states more of itself than any that a scanner writes; export it again")
    return np.frombuffer(content, np.uint8)


def _receive(line: Channel) -> dict[str, Any] | None:
    """The next request; None when the parent is gone."""
    try:
        packet = line.socket.recv(MESSAGE_BYTES)
    except OSError:
        return None
    return json.loads(packet) if packet else None


def _answer(line: Channel, message: dict[str, Any]) -> None:
    try:
        line.socket.send(json.dumps(message).encode()[:MESSAGE_BYTES])
    except OSError:
        return


def _failure(error: Exception, names: Sequence[str]) -> dict[str, Any]:
    """An intended error by name and in words for callers; of any other its kind alone, since its text is a library's.

    short : whether memory was too little
    needed : bytes that would do, where they are known
    details : for the log, what libraries said without `names`, which may name a patient
    """
    intended = isinstance(error, MitoserveError)
    # Python's own pictures raise OSError for broken data too: only what the system reports has a number.
    storage = isinstance(error, OSError) and error.errno is not None
    kind = {"error": type(error).__name__, "intended": intended, "storage": storage}
    message = str(error)[:2000] if intended else ""
    return {
        "ok": False,
        **kind,
        "short": isinstance(error, MemoryError),
        "needed": error.needed if isinstance(error, PictureMemoryError) else None,
        "message": message,
        "details": _details(error, names),
    }


def _details(error: BaseException, names: Sequence[str]) -> str:
    """What the errors say that led to an intended one, or what another says itself."""
    cause = error.__cause__ if isinstance(error, MitoserveError) else error
    said: list[str] = []
    while cause is not None and len(said) < 4:
        said.append(f"{type(cause).__name__}: {cause}"[:500])
        cause = cause.__cause__ or cause.__context__
    text = "; ".join(said)
    for name in sorted({*names, *(Path(name).stem for name in names)} - {""}, key=len, reverse=True):
        text = text.replace(name, "SLIDE")
    return text


def _size(handle: int) -> int:
    with open(handle, "rb", closefd=False) as memory:
        return memory.seek(0, 2)
