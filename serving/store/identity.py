"""Which database a state folder and a bucket belong to: its number stands in both, and another is refused.

The sweep of another database, or of an empty one, would take all slides and results for left over.
"""

import os
import secrets
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, insert, select

from serving.core.errors import BusyError
from serving.settings import ServerSettings, SettingsError
from serving.store.places import RESULTS, SLIDES, list_kept_names
from serving.store.tables import counters

MARKER = "database"
"""File in the state folder, and object in the bucket, that holds the database's number."""
_ADOPT = "; if this is meant, `mitoserve state adopt` makes them belong together"
_ROW = "objects"
"""Of the table of counters; called after the bucket, which was the first to hold the number."""


class DetachedError(BusyError):
    """The database or the state folder that the server started with is not there any more."""

    slug = "busy"


def read_number(tx: Connection) -> int | None:
    """The database's own number, which also its backups have; None before it has one."""
    found = tx.execute(select(counters.c.value).where(counters.c.name == _ROW)).scalar()
    return None if found is None else int(found)


def make_number(tx: Connection) -> int:
    """The database's number, made where it has none."""
    number = read_number(tx)
    if number is None:
        number = secrets.randbits(62)
        tx.execute(insert(counters).values(name=_ROW, value=number))
    return number


def check_file(settings: ServerSettings, file: Path) -> None:
    """Make sure that no new SQLite file takes the place of one that is lost.

    Raises
    ------
    SettingsError
        If `file` is not there, and the state folder belongs to a database.
    """
    if not file.exists() and read_marker(settings.state) is not None:
        raise SettingsError(
            f"the state folder {settings.state} belongs to a database, and {file} is not there: it was deleted or moved. "
            f"Bring it back, from a backup if need be, or set MITOSIS_DATABASE to where it is now{_ADOPT}"
        )


def check_state(settings: ServerSettings, tx: Connection) -> int:
    """The database's number, once it is sure that the state folder belongs to it; the first start writes it there.

    Raises
    ------
    SettingsError
        If the folder belongs to another database, or what lies there and what the tables name have little in common.
    """
    number, found = make_number(tx), read_marker(settings.state)
    if found is None:
        if settings.objects is None:
            check_common(f"the state folder {settings.state}", _folders(settings.state), list_kept_names(tx))
        write_marker(settings.state, number)
    elif found != str(number):
        raise SettingsError(
            f"the state folder {settings.state} belongs to another database than this one: nothing was changed. "
            f"Check MITOSIS_STATE and MITOSIS_DATABASE{_ADOPT}"
        )
    return number


def check_common(place: str, there: Collection[str], named: Collection[str]) -> None:
    """Refuse a place that says of no database that it belongs to it, where most shows that it is not this one's.

    there : names of the folders of slides and results at `place`; named : those that the database names
    """
    common = len(set(there) & set(named))
    if 2 * common < len(there):
        raise SettingsError(
            f"{place} holds {len(there)} slides and results, of which this database knows {common}: it belongs to another "
            f"one. Check MITOSIS_DATABASE, MITOSIS_STATE and MITOSIS_OBJECTS{_ADOPT}"
        )
    if 2 * common < len(named):
        raise SettingsError(
            f"the database names {len(named)} slides and results, of which {place} holds {common}: is it mounted? "
            f"Check MITOSIS_DATABASE, MITOSIS_STATE and MITOSIS_OBJECTS{_ADOPT}"
        )


def read_marker(state: Path) -> str | None:
    """The number in a state folder; None where there is none."""
    try:
        return (state / MARKER).read_text(errors="replace").strip()
    except FileNotFoundError:
        return None


def write_marker(state: Path, number: int) -> None:
    """Write the number into a state folder, whole or not at all."""
    part = state / f".{MARKER}.{os.getpid()}.part"
    part.write_text(f"{number}\n")
    part.replace(state / MARKER)


def _folders(state: Path) -> list[str]:
    return [
        f"{kind}/{path.name}"
        for kind in (SLIDES, RESULTS)
        if (state / kind).is_dir()
        for path in (state / kind).iterdir()
        if not path.name.startswith(".")
    ]
