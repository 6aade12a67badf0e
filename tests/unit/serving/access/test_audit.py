import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from serving.access.audit import START, AuditEntry, AuditLog
from serving.access.principal import AuditError
from serving.settings import ServerSettings
from serving.store.database import FILE, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


@pytest.fixture
def log(path: Path) -> AuditLog:
    log = AuditLog(open_database(ServerSettings(state=path.parent)))
    for number in range(5):
        log.append(AuditEntry("key:a", "POST /v1/analyses", "202", subject=f"a-{number}", request_id="r"))
    return log


def tamper(path: Path, statement: str) -> None:
    """Change the file as someone who owns it can: without the triggers."""
    with sqlite3.connect(path) as connection:
        for change in ("update", "delete"):
            connection.execute(f"DROP TRIGGER access_audit_no_{change}")
        connection.execute(statement)


def test_an_untouched_log_holds(log: AuditLog) -> None:
    count, newest = log.verify()
    assert count == 5
    assert newest == list(log.records())[-1].hash
    assert [record.subject for record in log.records()] == [f"a-{n}" for n in range(5)]


def test_an_empty_log_holds(tmp_path: Path) -> None:
    assert AuditLog(open_database(ServerSettings(state=tmp_path / "new"))).verify() == (0, START)


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("UPDATE access_audit SET actor = 'key:b' WHERE sequence = 3", 3),
        ("UPDATE access_audit SET at = at || '0' WHERE sequence = 1", 1),
        ("DELETE FROM access_audit WHERE sequence = 2", 2),
        ("DELETE FROM access_audit WHERE sequence = 1", 1),
        ("UPDATE access_audit SET sequence = 9 WHERE sequence = 5", 5),
        ("INSERT INTO access_audit SELECT 6, at, actor, action, subject, outcome, request_id, hash, hash "
         "FROM access_audit WHERE sequence = 5", 6),
    ],
)  # fmt: skip
def test_tampering_shows_where(log: AuditLog, path: Path, statement: str, record: int) -> None:
    tamper(path, statement)
    with pytest.raises(AuditError, match=f"record {record}"):
        log.verify()


def test_a_cut_log_shows_against_a_noted_hash(log: AuditLog, path: Path) -> None:
    _, noted = log.verify()
    log.append(AuditEntry("key:a", "DELETE /v1/slides/{id}", "204"))
    assert log.verify(known=noted)[0] == 6
    tamper(path, "DELETE FROM access_audit WHERE sequence > 3")
    assert log.verify()[0] == 3
    with pytest.raises(AuditError, match="cut off"):
        log.verify(known=noted)


@pytest.mark.parametrize("statement", ["UPDATE access_audit SET actor = 'x'", "DELETE FROM access_audit"])
def test_the_database_refuses_changes(log: AuditLog, path: Path, statement: str) -> None:
    database = open_database(ServerSettings(state=path.parent))
    with pytest.raises(IntegrityError, match="append-only"), database.writing() as tx:
        tx.execute(text(statement))
    assert log.verify()[0] == 5


def test_writers_in_several_processes_make_one_chain(path: Path) -> None:
    # Each log has a lock and connections of its own, as a process has.
    logs = [AuditLog(open_database(ServerSettings(state=path.parent))) for _ in range(4)]

    def write(log: AuditLog) -> None:
        for _ in range(10):
            log.append(AuditEntry("key:a", "POST /v1/slides", "201"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, logs))
    assert logs[0].verify()[0] == 40


def test_a_log_that_cannot_be_written_says_so(log: AuditLog, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE access_audit")
    with pytest.raises(AuditError, match="cannot be written"):
        log.append(AuditEntry("key:a", "POST /v1/slides", "201"))


def test_a_copy_made_while_it_is_written_holds(log: AuditLog, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "backup" / FILE
    copy.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [log.append(AuditEntry("key:a", "POST /v1/slides", "201")) for _ in range(50)])
        with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(copy)) as backup:
            live.backup(backup)
        writing.result()
    restored = AuditLog(open_database(ServerSettings(state=copy.parent)))
    count, newest = restored.verify()
    assert 5 <= count <= 55
    assert log.verify(known=newest)[0] == 55
    restored.append(AuditEntry("key:a", "POST /v1/slides", "201"))
    assert restored.verify(known=newest)[0] == count + 1
