"""Whether the disk has room: a server that fills up should be sent no more slides."""

import shutil

from serving.api.problems import NotReadyError
from serving.settings import ServerSettings
from serving.store.slides import SlideStore


def read_free_bytes(settings: ServerSettings) -> int:
    """Bytes that are free on the disk of the state folder."""
    return shutil.disk_usage(settings.state).free


def check_disk_space(store: SlideStore) -> None:
    """Nothing, where the disk has room, or gets it by going without copies.

    Raises
    ------
    NotReadyError
        If it has less than `settings.min_free_bytes` left.
    """
    try:
        store.check_room(0)
    except OSError as error:
        raise NotReadyError(
            f"the disk of MITOSIS_STATE has {read_free_bytes(store.settings)} bytes left, less than the "
            f"{store.settings.min_free_bytes} of MITOSIS_MIN_FREE_BYTES; make room"
        ) from error
