"""A cohort's slides and results in a bucket of a real S3-compatible server, where a machine has one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.cohort.cohort import model_files
from serving.cohort.ledger import Ledger
from serving.cohort.listing import manifest_at
from serving.cohort.status import read_status
from serving.cohort.storage import open_storage
from serving.cohort.worker import SlideWorker, WorkOrder
from serving.core.modelcard import load_card
from serving.core.options import ScoringOptions
from serving.scoring.models import newest_release
from serving.store.blob_store import BlobStoreError
from tests.quick_models import write_quick_models
from tests.s3 import s3_environment, s3_server
from tests.samples import noise, write_pyramid


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment(server).items():
        monkeypatch.setenv(name, value)
    return "s3://bucket"


def test_a_cohort_lies_in_a_bucket_from_manifest_to_tables(bucket: str, tmp_path: Path) -> None:
    store = open_storage(bucket)
    for name in ("a", "b"):
        store.put(f"in/{name} 1.tif", write_pyramid(tmp_path / f"{name}.tif", noise(600, 500)).read_bytes())
    store.put("in/bad.svs", b"no slide")
    store.put("in/cohort.csv", b"slide,id\na 1.tif,a\nb 1.tif,b\nbad.svs,bad\nnone.svs,none\n")
    assert len(manifest_at(f"{bucket}/in/").entries) == 3
    entries = manifest_at(f"{bucket}/in/cohort.csv").entries
    folders = newest_release(write_quick_models(tmp_path / "models"))
    order = WorkOrder(f"{bucket}/out", ScoringOptions(), formats=("geojson",))
    results = open_storage(order.results)
    worker = SlideWorker(order, model_files(folders))
    try:
        for expected in ("scored", "kept"):
            ledger = Ledger(results, entries, order, [load_card(folder) for folder in folders.values()])
            for task in ledger.begin(again=False):
                outcome = worker.score(task)
                assert outcome.state in (expected, "failed")
                ledger.note(outcome, 1)
            for part, members in ledger.members().items():
                assert worker.write_part(part, members) == (expected == "scored")
    finally:
        worker.close()
    found = read_status(results)
    assert (found.done, found.left) == (2, 0)
    assert {f.slide: f.problem for f in found.failed} == {"bad": "unsupported-format", "none": "not-found"}


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    with pytest.raises(BlobStoreError, match="there is no bucket for s3://elsewhere/out"):
        open_storage("s3://elsewhere/out").put("a", b"")
