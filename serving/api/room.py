"""Whether the disks have room: a server that fills up should be sent no more slides."""

import shutil
from pathlib import Path

from serving.api.problems import NotReadyError
from serving.settings import Settings


def free_bytes(settings: Settings) -> dict[str, int]:
    """Bytes that are free on the disk of each folder that the server writes to, by the folder's purpose."""
    return {"uploads": _free(settings.uploads), "state": _free(settings.state)}


def check_room(settings: Settings) -> None:
    """Nothing, where every disk has room.

    Raises
    ------
    NotReadyError
        If one has less than `settings.min_free_bytes` left.
    """
    for purpose, free in free_bytes(settings).items():
        if free < settings.min_free_bytes:
            raise NotReadyError(
                f"the disk of MITOSIS_{purpose.upper()} has {free} bytes left, less than the "
                f"{settings.min_free_bytes} of MITOSIS_MIN_FREE_BYTES; make room"
            )


def _free(folder: Path) -> int:
    """Of the folder, or of the closest one above it that exists."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free
