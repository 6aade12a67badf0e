import errno
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import insert, inspect, select, text

from serving.core.errors import BusyError
from serving.settings import ServerSettings, SettingsError
from serving.store import database as module
from serving.store.database import Database, open_database, upgrade
from serving.store.tables import counters, metadata, slides


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path / 'a.sqlite'}"
    made = Database(url)
    upgrade(made)
    yield made
    made.close()


def test_the_migrations_make_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        names = set(inspect(connection).get_table_names())
    assert names == set(metadata.tables) | {"alembic_version"}
    upgrade(database)  # a second start changes nothing


def test_slides_that_were_mounted_stay_so_for_everybody_who_has_them(tmp_path: Path) -> None:
    """Before 0008 that was known of a slide and not of each owner's."""
    database = Database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    with database.writing() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0007")
        for sha256, mounted in (("m", True), ("s", False)):
            blob = f"('{sha256}', 0, '/a', {mounted}, '', 1, 1, 'v', 0)"
            columns = "sha256, size, main, mounted, stamp, width, height, vendor, used_at"
            tx.execute(text(f"INSERT INTO blobs ({columns}) VALUES {blob}"))
            for owner in ("ann", "bob"):
                slide = f"('{owner}', '{sha256}', 'a', TRUE, 0)"
                tx.execute(text(f"INSERT INTO slides (owner, sha256, name, kept, created_at) VALUES {slide}"))
    upgrade(database)
    with database.reading() as tx:
        found = tx.execute(select(slides.c.owner, slides.c.sha256, slides.c.mounted)).all()
    assert {tuple(row) for row in found} == {
        ("ann", "m", True),
        ("bob", "m", True),
        ("ann", "s", False),
        ("bob", "s", False),
    }
    database.close()


def test_writers_take_turns(database: Database) -> None:
    with database.writing() as tx:
        tx.execute(insert(counters).values(name="n", value=0))

    def count() -> None:
        for _ in range(20):
            with database.writing() as tx:
                value = tx.execute(select(counters.c.value).where(counters.c.name == "n")).scalar_one()
                tx.execute(counters.update().values(value=value + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as tx:
        assert tx.execute(select(counters.c.value)).scalar_one() == 80


def test_an_error_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(KeyError), database.writing() as tx:  # noqa: PT012 - the error comes after a write
        tx.execute(insert(counters).values(name="n", value=0))
        raise KeyError
    with database.reading() as tx:
        assert tx.execute(select(counters)).all() == []


def test_a_locked_database_is_busy_and_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.1)
    database = open_database(ServerSettings(state=tmp_path))
    holder = sqlite3.connect(tmp_path / "mitoserve.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError, match="locked"), database.writing():
        pass
    with database.reading() as tx:
        assert tx.execute(select(counters.c.name)).scalars().all() == ["objects"]
    holder.rollback()
    holder.close()
    with database.writing():
        pass
    database.close()


def test_a_full_database_is_a_full_disk(tmp_path: Path) -> None:
    database = open_database(ServerSettings(state=tmp_path))
    with pytest.raises(OSError, match="No space") as caught, database.writing() as tx:  # noqa: PT012
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
        for number in range(10_000):
            tx.execute(insert(counters).values(name=f"{number:040}", value=number))
    assert caught.value.errno == errno.ENOSPC
    database.close()


def test_a_database_that_cannot_be_opened_names_its_setting(tmp_path: Path) -> None:
    for url in ("nonsense", "postgresql+psycopg://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path}/no/folder/a.sqlite"):
        with pytest.raises(SettingsError, match="MITOSIS_DATABASE"):
            open_database(ServerSettings(state=tmp_path, database=url))


def test_a_writer_that_went_silent_does_not_hold_up_the_others(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of them has little time: whoever imports and compiles between two statements is silent, too."""
    first, second = Database(postgres), Database(postgres)
    upgrade(first)
    first.close()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_SILENT_S", 2)
        with first.reading() as tx:  # the connection that it keeps
            tx.execute(select(counters.c.name))
    with pytest.raises(BusyError, match="idle-in-transaction"), first.writing() as silent:  # noqa: PT012
        with second.writing() as tx:
            tx.execute(insert(counters).values(name="a", value=1))
        silent.execute(insert(counters).values(name="b", value=1))
    with first.reading() as tx:
        assert tx.execute(select(counters.c.name)).scalars().all() == ["a"]
    first.close()
    second.close()
