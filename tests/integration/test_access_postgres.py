"""Keys and the audit log in PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.access.access import open_access
from serving.access.audit import AuditEntry, AuditLog
from serving.settings import ServerSettings, SettingsError
from serving.store.database import open_database

pytestmark = pytest.mark.integration


def test_keys_and_audit_log_work_alike(postgres: str, tmp_path: Path) -> None:
    settings = ServerSettings(state=tmp_path, database=postgres)
    access = open_access(settings)
    token, key = access.keys.create("lab", ["score"], disk_quota_bytes=2**40)
    assert open_access(settings).keys.find(token) == key
    assert [path.name for path in tmp_path.iterdir()] == ["database"]
    logs = [AuditLog(open_database(settings)) for _ in range(4)]

    def write(log: AuditLog) -> None:
        for _ in range(10):
            log.append(AuditEntry("key:a", "POST /v1/slides", "201"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, logs))
    assert access.audit.verify()[0] == 40
    for statement in ("UPDATE access_audit SET actor = 'x'", "DELETE FROM access_audit", "TRUNCATE access_audit"):
        with pytest.raises(DBAPIError, match="append-only"), open_database(settings).writing() as tx:
            tx.execute(text(statement))
    assert access.audit.verify()[0] == 40


def test_a_database_that_is_not_there_is_said(tmp_path: Path) -> None:
    missing = ServerSettings(state=tmp_path, database=f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    with pytest.raises(SettingsError, match="MITOSIS_DATABASE"):
        open_access(missing)
