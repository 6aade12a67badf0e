"""Whether the disk has room: a server that fills up should be sent no more slides."""

import shutil

from serving.api.problems import NotReadyError
from serving.settings import Settings


def free_bytes(settings: Settings) -> int:
    """Bytes that are free on the disk of the state folder."""
    return shutil.disk_usage(settings.state).free


def check_room(settings: Settings) -> None:
    """Nothing, where the disk has room.

    Raises
    ------
    NotReadyError
        If it has less than `settings.min_free_bytes` left.
    """
    free = free_bytes(settings)
    if free < settings.min_free_bytes:
        raise NotReadyError(
            f"the disk of MITOSIS_STATE has {free} bytes left, less than the {settings.min_free_bytes} of "
            "MITOSIS_MIN_FREE_BYTES; make room"
        )
