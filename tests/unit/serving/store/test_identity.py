"""A state folder and a database belong together, and neither is taken for another's."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from serving.cli.audit import audit
from serving.cli.state import state
from serving.settings import ServerSettings, SettingsError
from serving.store.database import Database, open_database
from serving.store.identity import DetachedError, check_common
from serving.store.slides import SlideStore
from serving.store.tables import blobs, counters
from tests.unit.serving.store.test_slides import add, on_disk

Open = Callable[..., Database]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Database] = []

    def make(state: str = "state", *, file: str | None = None, adopt: bool = False) -> Database:
        url = None if file is None else f"sqlite:///{tmp_path / file}"
        made.append(open_database(ServerSettings(state=tmp_path / state, database=url), adopt=adopt))
        return made[-1]

    yield make
    for database in made:
        database.close()


def test_a_state_folder_opens_with_its_own_database_alone(opened: Open, tmp_path: Path) -> None:
    opened("other", file="b.sqlite")
    for _ in range(2):
        opened(file="a.sqlite").close()
    with pytest.raises(SettingsError, match="another database"):
        opened(file="b.sqlite")
    with pytest.raises(SettingsError, match="deleted or moved"):
        opened()
    shutil.copy(tmp_path / "a.sqlite", tmp_path / "backup.sqlite")
    opened(file="backup.sqlite")  # a backup has the same number


def test_a_database_that_was_deleted_is_not_made_anew(opened: Open, tmp_path: Path) -> None:
    opened().close()
    file = tmp_path / "state" / "mitoserve.sqlite"
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="deleted or moved"):
        opened()
    assert not file.exists()
    (tmp_path / "elsewhere").rename(file)
    opened()


def test_what_an_operator_makes_belong_together_does(opened: Open, tmp_path: Path) -> None:
    opened(file="a.sqlite")
    opened(file="b.sqlite", adopt=True)
    opened(file="b.sqlite")
    with pytest.raises(SettingsError, match="another database"):
        opened(file="a.sqlite")


def test_a_state_of_an_earlier_release_is_told_by_what_it_holds(
    make_store: Callable[..., SlideStore], opened: Open, tmp_path: Path
) -> None:
    store = make_store()
    for shade in range(3):
        add(store, tmp_path, shade)
    state = tmp_path / "state"
    (state / "database").unlink()  # earlier releases wrote none
    with pytest.raises(SettingsError, match="holds 3 slides and results, of which this database knows 0"):
        opened(file="empty.sqlite")
    assert not (state / "database").exists()
    assert len(on_disk(store)) == 3
    (tmp_path / "unmounted").mkdir()
    with pytest.raises(SettingsError, match="is it mounted"):
        opened("unmounted", file="state/mitoserve.sqlite")
    assert not (tmp_path / "unmounted" / "database").exists()
    shutil.rmtree(
        store.folder / next(iter(on_disk(store)))
    )  # one that is lost does not keep the others from being served
    opened()
    assert (state / "database").exists()


@pytest.mark.parametrize(
    ("there", "named", "refused"),
    [("", "", False), ("ab", "ab", False), ("ab", "a", False), ("a", "ab", False), ("abc", "a", True),
     ("a", "abc", True), ("a", "", True), ("", "a", True), ("ab", "cd", True)],
)  # fmt: skip
def test_what_has_little_in_common_is_refused(there: str, named: str, refused: bool) -> None:
    if refused:
        with pytest.raises(SettingsError):
            check_common("the place", there, named)
    else:
        check_common("the place", there, named)


def test_a_database_that_vanishes_takes_nothing_more(opened: Open, tmp_path: Path) -> None:
    database, file = opened(), tmp_path / "state" / "mitoserve.sqlite"
    file.rename(tmp_path / "elsewhere")
    for using in (database.writing, database.reading):
        with pytest.raises(DetachedError, match="deleted or moved"), using():
            pass
    with pytest.raises(DetachedError):
        database.check()
    assert not file.exists(), "no empty one was made"
    shutil.copy(tmp_path / "elsewhere", file)
    with pytest.raises(DetachedError, match="replaced"):
        database.check()
    file.unlink()
    (tmp_path / "elsewhere").rename(file)
    database.check()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_whose_content_is_another_takes_nothing_more(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres") if kind == "postgres" else None
    database = open_database(ServerSettings(state=tmp_path, database=url))
    with database.engine.begin() as connection:
        connection.execute(counters.update().values(value=counters.c.value + 1))
    with pytest.raises(DetachedError, match="another one"):
        database.check()
    with pytest.raises(DetachedError, match="another one"), database.writing() as tx:
        tx.execute(blobs.delete())
    with database.reading() as tx:
        assert tx.execute(select(blobs)).all() == []
    database.close()


def test_a_state_folder_that_vanishes_keeps_nothing_more(store: SlideStore, tmp_path: Path) -> None:
    kept = store.kept
    kept.check()
    (tmp_path / "state").rename(tmp_path / "unmounted")
    with pytest.raises(DetachedError, match="bring it back"):
        kept.check()
    (tmp_path / "unmounted").rename(tmp_path / "state")
    kept.check()


def test_the_command_line_makes_them_belong_together(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("other", file="b.sqlite")
    opened(file="a.sqlite")
    monkeypatch.setenv("MITOSIS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MITOSIS_DATABASE", f"sqlite:///{tmp_path / 'b.sqlite'}")
    refused = CliRunner().invoke(audit, ["show"])
    assert refused.exit_code == 2
    assert "mitoserve state adopt" in refused.output.replace("\n", " ")
    assert CliRunner().invoke(state, ["adopt"], input="n\n").exit_code == 1
    assert CliRunner().invoke(audit, ["show"]).exit_code == 2
    assert CliRunner().invoke(state, ["adopt", "--yes"]).exit_code == 0
    assert CliRunner().invoke(audit, ["show"]).exit_code == 0
