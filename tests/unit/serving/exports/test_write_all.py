import json
from pathlib import Path

from serving.core.report import SCHEMA_VERSION
from serving.exports import EXPORTS, write_all
from serving.scoring.analysis import Analysis


def test_every_format_is_written_and_nothing_else(analysis: Analysis, tmp_path: Path) -> None:
    paths = write_all(analysis, tmp_path / "deep" / "out")
    assert [path.name for path in paths] == [export.file_name for export in EXPORTS.values() if export.usual]
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "deep" / "out").iterdir())
    assert json.loads(paths[0].read_text())["analysis_id"] == analysis.report.analysis_id


def test_writing_again_replaces(analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    write_all(analysis, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["schema_version"] == SCHEMA_VERSION
