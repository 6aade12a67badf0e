"""OME-Zarr folders, by zarr-python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

RGB = ("FF0000", "00FF00", "0000FF")


def write_ome_zarr(
    folder: Path,
    pixels: NDArray[np.generic],
    *,
    version: str = "0.5",
    axes: str = "cyx",
    mpp: float | None = 0.25,
    side: int = 256,
    levels: int = 2,
    colours: tuple[str, ...] | None = RGB,
    shard: int | None = None,
    **how: Any,
) -> Path:
    """A picture, uint8, shape (height, width, 3), and each level half the one before.

    how : for `zarr.create_array`, such as `compressors`
    """
    third = version == "0.5"
    group = zarr.open_group(folder, mode="w", zarr_format=3 if third else 2)
    datasets = []
    for level in range(levels):
        shown = np.expand_dims(pixels[:: 2**level, :: 2**level], [n for n, a in enumerate("tzyxc") if a in "tz"])
        order = [("tzyxc").index(axis) for axis in axes]
        rest = tuple(n for n in range(5) if n not in order)
        stored = shown.transpose(*order, *rest).reshape([shown.shape[n] for n in order])
        chunks = tuple(min(side, size) if axis in "yx" else size for axis, size in zip(axes, stored.shape, strict=True))
        shards = (
            None
            if shard is None
            else tuple(shard if axis in "yx" else size for axis, size in zip(axes, stored.shape, strict=True))
        )
        keys: dict[str, Any] = {} if third else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        array = group.create_array(
            str(level), shape=stored.shape, chunks=chunks, shards=shards, dtype=stored.dtype, **keys, **how
        )
        array[:] = stored
        scale = [1.0 if axis in "tcz" or mpp is None else mpp * 2**level for axis in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"t": "time", "c": "channel"}
    stated = [
        {"name": axis, "type": kinds.get(axis, "space")} | ({"unit": "micrometer"} if axis in "zyx" and mpp else {})
        for axis in axes
    ]
    multiscales = [{"axes": stated, "datasets": datasets} | ({} if third else {"version": version})]
    content: dict[str, Any] = {"multiscales": multiscales}
    if colours is not None:
        content["omero"] = {
            "channels": [{"color": colour, "label": f"channel {n}"} for n, colour in enumerate(colours)]
        }
    group.attrs.update({"ome": {"version": version, **content}} if third else content)
    return folder


def change_json(path: Path, **values: Any) -> None:
    """Put values into a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
