"""The decoders of one process, as the settings want them."""

import logging
import os
import pwd
from pathlib import Path

from serving.isolation import landlock
from serving.isolation.budget import WAIT_S, MemoryBudget, machine_memory
from serving.isolation.decoders import Decoders
from serving.isolation.limits import DecoderLimits
from serving.settings import ServerSettings, SettingsError

_log = logging.getLogger("mitoserve.decoders")


def open_decoders(settings: ServerSettings, *, folder: Path | None = None, wait_s: float = WAIT_S) -> Decoders:
    """Decoders with the limits and the user of `settings`; the log says what keeps them in.

    folder : their memory is that of all processes which name the same one, which must exist; by default the state folder
    wait_s : until an opening that finds no memory fails

    Raises
    ------
    SettingsError
        If decoders cannot run as the user that is asked for.
    """
    if settings.decoder_user is not None:
        _check_user(settings.decoder_user)
    limits = DecoderLimits(memory_bytes=settings.decoder_memory_bytes, read_cpu_s=settings.decoder_cpu_s)
    known = landlock.version()
    if known:
        _log.info(
            "decoders see nothing but their slide, and what unpacks archives nothing but its archive (Landlock %d)",
            known,
        )
    else:
        _log.warning(
            "this kernel has no Landlock, so decoders and what unpacks archives can read whatever their user can: "
            "use Linux 5.13 or later with landlock in its list of security modules, or set MITOSIS_DECODER_USER"
        )
    total = settings.decoders_memory_bytes or machine_memory() // 2
    budget = MemoryBudget(total, (settings.state if folder is None else folder) / "decoders.lock", wait_s=wait_s)
    return Decoders(limits, user=settings.decoder_user, budget=budget)


def _check_user(user: str) -> None:
    try:
        pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError) as error:
        raise SettingsError(f"MITOSIS_DECODER_USER={user!r} is no user of this machine") from error
    if os.geteuid() != 0:
        raise SettingsError("MITOSIS_DECODER_USER needs a server that root starts: nobody else may become another user")
    mask = os.umask(0o022)
    os.umask(mask)
    if mask & 0o005:
        raise SettingsError(
            f"MITOSIS_DECODER_USER needs a umask of 022, not {mask:03o}: decoders of another user must be able to read "
            "slides; the folder MITOSIS_STATE itself stays closed to everybody else"
        )
