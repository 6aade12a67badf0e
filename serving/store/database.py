"""The database: SQLite in write-ahead mode, or PostgreSQL, behind the same few rules.

Writers come one after the other on both, so that what is read inside `writing` still holds when it is written.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, TimeoutError

from serving.core.errors import BusyError
from serving.settings import ServerSettings, SettingsError
from serving.store.identity import DetachedError, check_file, check_state, make_number, read_number, write_marker

FILE = "mitoserve.sqlite"
"""In the state folder, unless `ServerSettings.database` names another place."""
BUSY_S = 10.0
"""Seconds that a writer waits for another, which holds the database for milliseconds."""
_WRITERS = 0x6D69746F
"""Name of the lock that makes PostgreSQL's writers take turns; any number that others do not use."""
_SILENT_S = 15
"""Seconds until a machine that went silent is taken for gone. It may hold the writers' lock, which all others wait for."""
_POSTGRES = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 2} | {
    "tcp_user_timeout": 1000 * _SILENT_S
}
"""Of libpq: what is sent into a cut network fails."""
_NO_ROOM = ("database or disk is full", "No space left on device")


class Database:
    """Transactions on one database."""

    def __init__(self, url: str) -> None:
        self._sqlite = make_url(url).get_backend_name() == "sqlite"
        arguments = {"timeout": BUSY_S, "check_same_thread": False} if self._sqlite else _POSTGRES
        self.engine = create_engine(url, connect_args=arguments, pool_pre_ping=not self._sqlite, pool_size=20)
        event.listen(self.engine, "connect", _prepare if self._sqlite else _prepare_postgres)
        if self._sqlite:
            event.listen(self.engine, "begin", _begin)
        self._file: tuple[Path, int, int] | None = None
        self._number: int | None = None

    @property
    def path(self) -> Path | None:
        """The SQLite file; None where the database is another, or in memory."""
        name = self.engine.url.database
        return (
            Path(name) if self._sqlite and name and name != ":memory:" and "uri" not in self.engine.url.query else None
        )

    def watch(self, number: int) -> None:
        """From now on refuse to go on where the SQLite file, or the database's number, is not that of now.

        number : see `identity`
        """
        if self.path is not None:
            found = self.path.stat()
            self._file = (self.path, found.st_dev, found.st_ino)
        self._number = number

    def check(self) -> None:
        """Raise `DetachedError` where the database is not the one that was opened, `BusyError` where it does not answer."""
        with self.reading() as tx:
            self._check_number(tx)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment and changes nothing.

        Raises
        ------
        DetachedError
            If the SQLite file was deleted, moved or replaced; a connection would see an empty one, or one that nobody has.
        """
        self._check_file()
        with _translate_errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that no other writer interleaves with; it is committed on leaving, or undone by an error.

        Raises
        ------
        BusyError
            If another writer does not let go within `BUSY_S`.
        DetachedError
            If it is not the database any more that was opened.
        OSError
            With `ENOSPC` if the disk is full.
        """
        self._check_file()
        with _translate_errors(), self.engine.connect().execution_options(write=True) as connection, connection.begin():
            if not self._sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_WRITERS})"))
            self._check_number(connection)
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _check_file(self) -> None:
        if self._file is None:
            return
        path, device, inode = self._file
        try:
            found = path.stat()
        except OSError as error:
            raise DetachedError(
                f"the database {path} was deleted or moved while the server runs; bring it back"
            ) from error
        if (found.st_dev, found.st_ino) != (device, inode):
            raise DetachedError(f"the database {path} was replaced while the server runs; start the server again")

    def _check_number(self, tx: Connection) -> None:
        if self._number is not None and read_number(tx) != self._number:
            raise DetachedError(
                "the database is another one than the server started with; bring that back, or start again"
            )


def open_database(settings: ServerSettings, *, adopt: bool = False) -> Database:
    """The database that `settings` name, made or brought up to date.

    adopt : make the state folder belong to it, whatever database it belonged to

    Raises
    ------
    SettingsError
        If it cannot be opened, or the state folder belongs to another.
    """
    url = settings.database or f"sqlite:///{settings.state / FILE}"
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = Database(url)
        if database.path is not None:
            if not adopt:
                check_file(settings, database.path)
            database.path.touch(mode=0o600, exist_ok=True)
        try:
            upgrade(database)
            with database.writing() as tx:
                if adopt:
                    write_marker(settings.state, make_number(tx))
                number = check_state(settings, tx)
            database.watch(number)
        except BaseException:
            database.close()
            raise
    except (ArgumentError, ImportError, OperationalError, BusyError, OSError) as error:
        raise SettingsError(
            f"the database cannot be opened: {error}; see MITOSIS_DATABASE and MITOSIS_STATE"
        ) from error
    return database


def upgrade(database: Database) -> None:
    """Bring the tables to this release; servers that start together take turns."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise BusyError("the database does not answer: all connections are taken; try again in a moment") from error
    except DBAPIError as error:
        if not (isinstance(error, OperationalError) or error.connection_invalidated):
            raise
        reason = str(error.orig)
        if any(sign in reason for sign in _NO_ROOM):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise BusyError(f"the database does not answer ({reason.strip()[:200]}); try again in a moment") from error


def _prepare(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # sqlite3 must not begin transactions by itself; `_begin` does
    connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII alone
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")  # what was answered with 202 outlives a power cut


def _lower(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else text


def _prepare_postgres(connection: Any, _: Any) -> None:
    """Wait no longer for a writer than on SQLite, and let the database end who holds the lock and does nothing."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{BUSY_S:g}s'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_SILENT_S}s'")
        cursor.execute(f"SET tcp_user_timeout = '{_SILENT_S}s'")
    connection.commit()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
