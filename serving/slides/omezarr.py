"""The JSON of an OME-Zarr, 0.4 and 0.5 (https://ngff.openmicroscopy.org), read before any decoder sees the folder."""

import json
import math
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from serving.core.errors import UnreadableSlideError, UnsupportedFormatError
from serving.core.pixelsize import PixelSize, check_stated_size
from serving.slides.limits import check_size, check_stored_tile

MAINS = ("zarr.json", ".zattrs")
"""The group's JSON in Zarr 3 and in Zarr 2."""
MAX_FILES = 10_000
"""Of one slide, as of every slide of several files. With shards there are a few hundred."""
MAX_LEVELS = 64
_MAX_JSON_BYTES = 2**20
_CODECS = {"bytes", "gzip", "zlib", "zstd", "blosc", "crc32c", "sharding_indexed"}
"""That tests open. Others may run code: Zarr 2 has one of pickled objects."""
_UM = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
_COLOURS = (["FF0000", "00FF00", "0000FF"], ["RED", "GREEN", "BLUE"], ["R", "G", "B"])
_AXES = {"t": "points in time", "z": "focal planes"}


@dataclass(frozen=True, slots=True)
class OmeZarr:
    """One picture in red, green and blue.

    axes : names of the axes of its arrays, in their order, such as c, y, x
    levels : folder of the array of each level, the largest first
    """

    axes: tuple[str, ...]
    levels: tuple[Path, ...]
    size: PixelSize | None


def is_multiscale(path: Path) -> bool:
    """Whether a file is the JSON of a group that holds a picture at several sizes."""
    if path.name not in MAINS:
        return False
    try:
        return bool(_stated(path, path.name)["multiscales"])
    except (UnreadableSlideError, KeyError, TypeError, OSError):
        return False


def list_chunks(folder: Path, name: str) -> list[Path]:
    """All files of an OME-Zarr.

    Raises
    ------
    UnreadableSlideError
        If one is a link or a device, or there are more than `MAX_FILES`.
    """
    found: list[Path] = []
    waiting, seen = [folder], 0
    while waiting:
        for entry in sorted(waiting.pop().iterdir()):
            seen += 1
            if seen > MAX_FILES:
                raise UnreadableSlideError(
                    f"{name} holds more than {MAX_FILES} files; write it again with larger chunks, or with shards"
                )
            mode = entry.lstat().st_mode
            if stat.S_ISDIR(mode):
                waiting.append(entry)
            elif stat.S_ISREG(mode):
                found.append(entry)
            else:
                raise UnreadableSlideError(
                    f"{name} holds {entry.name!r}, which is a link or a device; replace it by the file itself"
                )
    return found


def read_ome_zarr(main: Path, name: str) -> OmeZarr:
    """The first picture of an OME-Zarr.

    Parameters
    ----------
    main
        The JSON of its group.
    name
        What errors call the slide.

    Raises
    ------
    UnsupportedFormatError
        If it is not one plane in red, green and blue of 8 bits, stored in a way that tests open.
    UnreadableSlideError
        If its JSON is damaged, or names folders elsewhere.
    SlideTooLargeError
        If a chunk is larger than any scanner writes, or a level than any slide.
    """
    try:
        stated = _stated(main, name)
        picture = stated["multiscales"][0]
        axes = tuple(str(axis["name"]) for axis in picture["axes"])
        if len(set(axes)) != len(axes) or not {"c", "y", "x"} <= set(axes) <= {"c", "y", "x", *_AXES}:
            raise UnsupportedFormatError(
                f"{name} has the axes {', '.join(axes)[:80]}; write it with c, y and x, and with t and z of one plane at most"
            )
        _check_colours(stated.get("omero"), name)
        datasets = picture["datasets"]
        if not 0 < len(datasets) <= MAX_LEVELS:
            raise UnreadableSlideError(f"{name} states {len(datasets)} levels; write it again from the original slide")
        levels = tuple(_level(main, str(dataset["path"]), axes, name) for dataset in datasets)
        return OmeZarr(axes, levels, _size(picture, datasets[0]))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise UnreadableSlideError(
            f"{name} is damaged: its {main.name} is not that of an OME-Zarr 0.4 or 0.5; write it again from the original slide"
        ) from error


def _stated(main: Path, name: str) -> Mapping[str, Any]:
    """`multiscales` and what stands beside it."""
    found = _read_json(main, name)
    if main.name == MAINS[0]:
        found = found["attributes"]["ome"]
    return found


def _read_json(path: Path, name: str) -> Mapping[str, Any]:
    try:
        with path.open("rb") as handle:
            text = handle.read(_MAX_JSON_BYTES + 1)
        if len(text) > _MAX_JSON_BYTES:
            raise UnreadableSlideError(f"{name} has a {path.name} of more than {_MAX_JSON_BYTES} bytes")
        found = json.loads(text)
    except (ValueError, RecursionError, FileNotFoundError, NotADirectoryError) as error:
        raise UnreadableSlideError(
            f"{name} lacks a {path.name}, or it does not parse; write it again from the original slide"
        ) from error
    if not isinstance(found, dict):
        raise UnreadableSlideError(f"{name} has a {path.name} that does not parse; write it again")
    return found


def _level(main: Path, place: str, axes: Sequence[str], name: str) -> Path:
    """The folder of a level's array, whose JSON was checked."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", place) or ".." in PurePosixPath(place).parts:
        raise UnreadableSlideError(f"{name} names a level outside its own folder; write it again")
    folder = main.parent / place
    third = main.name == MAINS[0]
    array = _read_json(folder / (MAINS[0] if third else ".zarray"), name)
    sizes = dict(zip(axes, (int(side) for side in array["shape"]), strict=True))
    if sizes["c"] != 3:
        raise UnsupportedFormatError(
            f"{name} holds {sizes['c']} channels and not one picture in red, green and blue; export it as RGB"
        )
    for axis, what in _AXES.items():
        if sizes.get(axis, 1) != 1:
            raise UnsupportedFormatError(f"{name} holds {sizes[axis]} {what}; export one of them")
    kind = array["data_type"] if third else array["dtype"]
    if kind not in ("uint8", "|u1"):
        raise UnsupportedFormatError(f"{name} holds samples of {str(kind)[:40]}; write them as uint8")
    if min(sizes["x"], sizes["y"]) < 1:
        raise UnreadableSlideError(f"{name} states a picture without pixels; write it again from the original slide")
    check_size(sizes["x"], sizes["y"])
    codecs, chunks = _stored(array) if third else _stored_2(array)
    for codec in codecs:
        if codec not in _CODECS:
            raise UnsupportedFormatError(
                f"{name} has chunks in a form ({codec[:40]}) that is not read; write them with zstd, gzip or blosc"
            )
    for chunk in chunks:
        if len(chunk) != len(axes) or min(chunk) < 1:
            raise UnreadableSlideError(
                f"{name} states chunks that do not fit its picture; write it again from the original slide"
            )
        # All that one chunk holds is decoded at once, other channels too.
        check_stored_tile(math.prod(chunk), 1)
    return folder


_Stored = tuple[list[str], list[list[int]]]
"""Codecs, and the shapes of what is decoded at once."""


def _stored(array: Mapping[str, Any]) -> _Stored:
    if array["chunk_grid"]["name"] != "regular" or array.get("storage_transformers"):
        raise ValueError("chunks of several sizes")
    codecs = list(array["codecs"])
    shape = array["chunk_grid"]["configuration"]["chunk_shape"]
    if codecs and codecs[0]["name"] == "sharding_indexed":
        # A shard holds chunks of its own, of which those alone are decoded that are asked for.
        inner = codecs[0]["configuration"]
        shape = inner["chunk_shape"]
        codecs += [*inner["codecs"], *inner.get("index_codecs", ())]
    return [str(codec["name"]) for codec in codecs], [[int(side) for side in shape]]


def _stored_2(array: Mapping[str, Any]) -> _Stored:
    steps = [*(array.get("filters") or ()), *([array["compressor"]] if array["compressor"] else ())]
    return [str(step["id"]) for step in steps], [[int(side) for side in array["chunks"]]]


def _check_colours(omero: Mapping[str, Any] | None, name: str) -> None:
    channels = [] if omero is None else list(omero["channels"])
    colours = [str(channel.get("color", "")).upper() for channel in channels]
    labels = [str(channel.get("label", "")).upper() for channel in channels]
    if colours not in _COLOURS and labels not in _COLOURS:
        called = ", ".join(str(channel.get("label") or "unnamed") for channel in channels)[:120] or "unnamed"
        raise UnsupportedFormatError(
            f"{name} does not say that its channels ({called}) are red, green and blue; state their colours under `omero` in its JSON"
        )


def _size(picture: Mapping[str, Any], dataset: Mapping[str, Any]) -> PixelSize | None:
    """The pixel size of level 0, where its scale has a unit."""
    sides = []
    for axis in ("x", "y"):
        at = [str(found["name"]) for found in picture["axes"]].index(axis)
        unit = _UM.get(str(picture["axes"][at].get("unit")))
        if unit is None:
            return None
        changes = [*dataset.get("coordinateTransformations", ()), *picture.get("coordinateTransformations", ())]
        sides.append(
            unit * math.prod(float(change["scale"][at]) for change in changes if change.get("type") == "scale")
        )
    return check_stated_size(*sides)
