"""Slides with results, written straight into a server's database, where a test needs more of them than it can score."""

import hashlib
import json
import time

from sqlalchemy import insert

from serving.core.options import ScoringOptions
from serving.jobs.job import options_text
from serving.store.database import Database
from serving.store.tables import analyses, blobs, slides

STATES = ("succeeded", "succeeded", "succeeded", "failed", "cancelled")


def fill_worklist(database: Database, number: int, *, owner: str = "local") -> None:
    """Add `number` slides, four to a case, each with an analysis that has ended. Their files and results are not there."""
    now = time.time()
    blob_rows, slide_rows, analysis_rows = [], [], []
    for i in range(number):
        sha256 = hashlib.sha256(f"slide {i}".encode()).hexdigest()
        name, case, state = f"CASE-{i // 4:04d}_{i % 4}.svs", f"CASE-{i // 4:04d}", STATES[i % len(STATES)]
        blob_rows.append(
            {
                "sha256": sha256,
                "size": 1,
                "main": "a.svs",
                "mounted": False,
                "stamp": "",
                "width": 90_000,
                "height": 60_000,
            }
            | {"mpp": 0.25, "vendor": "aperio", "used_at": now}
        )
        slide_rows.append(
            {"owner": owner, "sha256": sha256, "name": name, "kept": True, "created_at": now - i, "case_name": case}
        )
        figures, warnings = (i * 37) % 101, ["The slide is blurred in places."] if i % 7 == 0 else []
        kept = {"tissue_mm2": 100.0, "warnings": warnings, "models": ["reg-ns@2.0.0", "det@2.0.0"]}
        done = state == "succeeded"
        analysis_rows.append(
            {"id": f"analysis-{i}", "owner": owner, "sha256": sha256, "name": name, "case_name": case, "state": state}
            | {"options": options_text(ScoringOptions()), "request_key": sha256, "priority": 0, "created_at": now - i}
            | {"tiles_done": 10, "tiles_total": 10, "crashes": 0, "token": 0, "worker": "", "beat": 0}
            | {"figures": figures if done else None, "density": figures / 100 if done else None}
            | {"warned": len(warnings) if done else None, "summary": json.dumps(kept) if done else None}
            | {"result": f"result-{i}" if done else None, "finished_at": now - i}
            | {"problem": "unreadable-slide" if state == "failed" else None, "detail": None}
        )
    with database.writing() as tx:
        tx.execute(insert(blobs), blob_rows)
        tx.execute(insert(slides), slide_rows)
        tx.execute(insert(analyses), analysis_rows)
