"""A state folder as 0.1.0 left it, at migration 0001 and with keys in a file of their own, served by this release.

`tests/data/state-0001.tar.gz` was written by that release: a key and a revoked one, five audit records, a slide with one
analysis that had succeeded, one that was running and one that waited, and an upload of which a tenth had arrived.
"""

import json
import sqlite3
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from serving.access.access import open_access
from serving.settings import ServerSettings
from tests.clients import bearer
from tests.services import serving, wait_for_end

pytestmark = pytest.mark.integration

Rows = dict[str, list[dict[str, Any]]]
FORMER = Path(__file__).parents[1] / "data" / "state-0001.tar.gz"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with tarfile.open(FORMER) as archive:
        archive.extractall(tmp_path / "state")  # Debian 12's Python 3.11.2 knows no filter yet; the archive is ours
    with sqlite3.connect(tmp_path / "state" / "mitoserve.sqlite") as database:
        # The upgrade comes within a day of the last byte; later the upload would have expired.
        database.execute("UPDATE uploads SET expires_at = ?", (time.time() + 3600,))
    database.close()
    return tmp_path / "state"


def test_a_start_upgrades_the_previous_releases_state(state: Path) -> None:
    known: dict[str, str] = json.loads((state / "known.json").read_text())
    before = {**_rows(state / "mitoserve.sqlite"), **_rows(state / "access.sqlite")}
    assert all(before[table] for table in ("blobs", "slides", "analyses", "events", "uploads", "access_keys"))
    access = open_access(ServerSettings(state=state))
    after = _rows(state / "mitoserve.sqlite")
    assert after.pop("alembic_version") != before.pop("alembic_version")
    assert _former(after, before) == before
    assert access.audit.verify(known=known["audit"])[0] == 5
    with serving(state, lease_s=0.5) as client:
        client.headers.update(bearer(known["token"]))
        assert client.get(f"/v1/slides/{known['slide']}/thumbnail").status_code == 200
        finished = client.get(f"/v1/analyses/{known['finished']}").json()
        assert client.get(finished["links"]["report"]).json()["slide"]["name"] == "kept.png"
        for analysis in (known["running"], known["queued"]):
            assert wait_for_end(client, analysis)["state"] == "succeeded"
        version = {"Tus-Resumable": "1.0.0"}
        assert client.head(known["upload"], headers=version).headers["upload-offset"] == "100"
        assert client.get("/v1/slides", headers=bearer(known["token"] + "x")).status_code == 401
        assert client.delete(known["upload"], headers=version).status_code == 204
    assert [key.revoked_at is None for key in access.keys.list()] == [True, False]
    assert access.audit.verify(known=known["audit"])[0] == 7, "one refusal and one change more"


def test_keys_that_were_beside_the_other_tables_stay(state: Path) -> None:
    """As in a database of `MITOSIS_DATABASE`, where 0.1.0 made its tables without a migration."""
    with sqlite3.connect(state / "mitoserve.sqlite") as together:
        together.execute("ATTACH ? AS former", (str(state / "access.sqlite"),))
        for table in ("access_keys", "access_audit"):
            (made,) = together.execute("SELECT sql FROM former.sqlite_master WHERE name = ?", (table,)).fetchone()
            together.execute(made)
            together.execute(f"INSERT INTO main.{table} SELECT * FROM former.{table}")
    together.close()
    (state / "access.sqlite").unlink()
    before = _rows(state / "mitoserve.sqlite")
    open_access(ServerSettings(state=state, database=f"sqlite:///{state / 'mitoserve.sqlite'}"))
    after = _rows(state / "mitoserve.sqlite")
    assert after.pop("alembic_version") != before.pop("alembic_version")
    assert _former(after, before) == before


def _former(after: Rows, before: Rows) -> Rows:
    """Of the rows that an upgrade left, the tables and columns that there were."""
    return {
        table: [{name: row[name] for name in known} for row, known in zip(after[table], rows, strict=True)]
        for table, rows in before.items()
    }


def _rows(path: Path) -> Rows:
    """Every table's rows, by column."""
    found: Rows = {}
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            found[name] = sorted(map(dict, database.execute(f"SELECT * FROM {name}")), key=repr)
    database.close()
    # The number by which a state folder knows its database is given at the first start of this release.
    if "counters" in found:
        found["counters"] = [row for row in found["counters"] if row["name"] != "objects"]
    return {name: rows for name, rows in found.items() if not name.startswith("sqlite_")}
