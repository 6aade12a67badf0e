from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.core.detections import Detections
from serving.jobs.checkpoints import Checkpoints
from serving.jobs.findings_format import pack_findings, unpack_findings
from serving.scoring.tile_findings import TileFindings, make_empty_structure
from serving.scoring.tiling import find_patch
from serving.store.checksums import DamagedError
from serving.store.folder_store import DiskFolderStore


def tile(column: int, looks: int, boxes: int, *, seed: int = 0) -> TileFindings:
    rng = np.random.default_rng(seed)
    patch = find_patch((column, 0), {(0, 0)} if column else set(), 125, 250)
    scores = rng.normal(size=(patch.region.height // 125 - 1, patch.region.width // 125 - 1)).astype(np.float32)
    scores[0, 0] = np.nan
    found = tuple(
        Detections(
            rng.normal(size=(boxes, 4)).astype(np.float32),
            rng.random(boxes).astype(np.float32),
            np.zeros(boxes, np.float32),
        )
        for _ in range(looks)
    )
    structure = (
        rng.random((*(2 * (n + 1) for n in scores.shape), 2), np.float32) if seed % 2 else make_empty_structure()
    )
    looked = rng.choice(scores.size, looks, replace=False).astype(np.int64)
    light = rng.random(scores.shape, np.float32) if seed % 3 else None
    return TileFindings(patch, scores, looked, found, structure, light)


def same(a: TileFindings, b: TileFindings) -> bool:
    return (
        a.patch == b.patch
        and np.array_equal(a.scores, b.scores, equal_nan=True)
        and np.array_equal(a.looked, b.looked)
        and np.array_equal(a.structure, b.structure)
        and (a.triage is None) == (b.triage is None)
        and (a.triage is None or b.triage is None or np.array_equal(a.triage, b.triage))
        and len(a.found) == len(b.found)
        and all(
            np.array_equal(x.boxes, y.boxes) and np.array_equal(x.probabilities, y.probabilities)
            for x, y in zip(a.found, b.found, strict=True)
        )
    )


@given(
    chunks=st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=4), max_size=4
    )
)
def test_what_is_kept_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[list[tuple[int, int, int]]]
) -> None:
    root = DiskFolderStore(tmp_path_factory.mktemp("checkpoints"))
    made = [[tile(*shape, seed=n) for n, shape in enumerate(chunk)] for chunk in chunks]
    writer = Checkpoints(root, "a", "key")
    assert writer.load() == []
    for chunk in made:
        writer.save(chunk)
    flat = [t for chunk in made for t in chunk]
    read = Checkpoints(root, "a", "key").load()
    assert len(read) == len(flat)
    assert all(same(x, y) for x, y in zip(read, flat, strict=True))
    assert Checkpoints(root, "a", "other").load() == []


CHUNK = pack_findings([tile(n, n, 2, seed=n) for n in range(2)])


@given(bit=st.integers(0, 8 * len(CHUNK) - 1))
def test_a_chunk_with_any_one_bit_changed_is_damaged(bit: int) -> None:
    changed = bytearray(CHUNK)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedError):
        unpack_findings(bytes(changed))


@given(kept=st.integers(0, len(CHUNK) - 1), more=st.binary(max_size=50))
def test_a_chunk_that_was_cut_is_damaged(kept: int, more: bytes) -> None:
    with pytest.raises(DamagedError):
        unpack_findings(CHUNK[:kept] + more)


def test_a_chunk_that_an_earlier_release_wrote_is_computed_again(tmp_path: Path) -> None:
    writer = Checkpoints(DiskFolderStore(tmp_path), "a", "key")
    writer.save([tile(0, 1, 1)])
    (path,) = writer.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-32])  # npz without a checksum
    assert Checkpoints(DiskFolderStore(tmp_path), "a", "key").load() == []


def test_a_chunk_that_the_disk_cannot_read_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Checkpoints(DiskFolderStore(tmp_path), "a", "key")
    writer.save([tile(0, 1, 1)])

    def unreadable(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    assert Checkpoints(DiskFolderStore(tmp_path), "a", "key").load() == []


def test_a_damaged_chunk_and_all_after_it_are_done_again(tmp_path: Path) -> None:
    writer = Checkpoints(DiskFolderStore(tmp_path), "a", "key")
    for n in range(4):
        writer.save([tile(n, 1, 1)])
    files = sorted((tmp_path / "checkpoints" / "a" / "key").iterdir())
    files[1].write_bytes(files[1].read_bytes()[:100])
    again = Checkpoints(DiskFolderStore(tmp_path), "a", "key")
    assert len(again.load()) == 1
    again.save([tile(1, 1, 1)])
    assert len(Checkpoints(DiskFolderStore(tmp_path), "a", "key").load()) == 4
    again.remove()
    assert not (tmp_path / "checkpoints" / "a").exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as handle:
            handle.write(data[:10])
        raise OSError(28, "No space left on device")

    writer = Checkpoints(DiskFolderStore(tmp_path), "a", "key")
    writer.save([tile(0, 1, 1)])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            writer.save([tile(1, 1, 1)])
    assert [p.name for p in (tmp_path / "checkpoints" / "a" / "key").iterdir()] == ["000000.npz"]
    writer.save([tile(1, 1, 1)])
    assert len(Checkpoints(DiskFolderStore(tmp_path), "a", "key").load()) == 2
