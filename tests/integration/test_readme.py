"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest

from serving.synthetic.slide import generate_slide

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.integration


def test_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    generate_slide(tmp_path / "slide.tif", width=300, height=300, tissue_fraction=1.0)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert re.search(r"^\d+ mitotic figures$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_links_and_pictures_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make (\w+)", (ROOT / "README.md").read_text())) <= targets


def test_settings_are_those_of_their_page() -> None:
    """The table of the README has rows of docs/settings.md, which is written from the settings themselves."""
    row = re.compile(r"^\| (`MITOSIS_\w+`) \| ([^|]+) \|", re.MULTILINE)
    shown = dict(row.findall((ROOT / "README.md").read_text()))
    assert len(shown) >= 8
    assert shown.items() <= dict(row.findall((ROOT / "docs" / "settings.md").read_text())).items()
