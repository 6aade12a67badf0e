"""Damaged slides: what is damaged, and the file that a run goes on from."""

import io
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.mutants.outcome import Outcome, Outcomes, failures, table
from tests.mutants import Specimen, mutate

READ = Outcome("0-1", "PNG", "cut", "read", 0.5)
REFUSED = Outcome("0-2", "DICOM", "cut", "422 brought: unreadable-slide", 1.5)
FAILED = Outcome("0-3", "DICOM", "tags forged", "500 brought: internal-error", 2.5, failure="an answer")


def test_a_run_goes_on_where_another_ended(tmp_path: Path) -> None:
    file = tmp_path / "done.jsonl"
    for outcome in (READ, REFUSED, FAILED):
        Outcomes(file).add(outcome)
    whole = file.read_text()
    file.write_text(whole + whole.splitlines()[0][:20])  # it was ended in the middle of a line
    again = Outcomes(file)
    assert again.all == [READ, REFUSED, FAILED]
    assert again.seeds == {"0-1", "0-2", "0-3"}
    again.add(READ)
    assert len(Outcomes(file).all) == 4


def test_the_table_counts_each_format_by_its_answers() -> None:
    shown = table([READ, REFUSED, FAILED])
    cells = {str(column.header): list(column.cells) for column in shown.columns}
    assert cells["format"] == ["DICOM", "PNG", "all"]
    assert (cells["tried"], cells["read"]) == (["2", "1", "3"], ["0", "1", "1"])
    assert (cells["422"], cells["500"]) == (["1", "0", "1"], ["1", "0", "1"])
    assert cells["slowest, s"] == ["2.5", "0.5", "2.5"]
    assert failures([READ, REFUSED, FAILED]) == ["0-3, DICOM, tags forged: an answer"]


@pytest.mark.parametrize("name", ["slide.zip", "slide.tar", "slide.tar.gz"])
def test_archives_are_damaged_inside_and_stay_archives(name: str) -> None:
    contents = {"slide.dcm": bytes(range(256)) * 4, "other.dcm": bytes(1000)}
    specimen = Specimen(name, _pack(name, contents), (), "DICOM")
    damaged = [data for n in range(40) for kind, data in [mutate(specimen, random.Random(n))] if "inside" in kind]
    assert len(damaged) > 10
    found = [_unpacked(name, data) for data in damaged]
    assert all(len(members) == len(contents) for members in found)
    assert all(dict(members) != contents for members in found)
    assert any(set(dict(members)) != set(contents) for members in found)
    assert mutate(specimen, random.Random(7)) == mutate(specimen, random.Random(7))


def _pack(name: str, contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    if name.endswith(".zip"):
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, content in contents.items():
                archive.writestr(member, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if name.endswith("gz") else "w") as archive:
            for member, content in contents.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _unpacked(name: str, data: bytes) -> list[tuple[str, bytes]]:
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [(info.filename, archive.read(info)) for info in archive.infolist()]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [(info.name, file.read()) for info in archive if (file := archive.extractfile(info)) is not None]
