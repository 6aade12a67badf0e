import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from serving import cli
from serving.console import UNBROKEN, escape_control, format_label, open_console, open_table, text_column

TEXT = st.text(max_size=60) | st.sampled_from(
    ["[copy].svs", "[/b]", "[red]a[/]", ":ok:.svs", "\x1b[2Jgone", "[link=http://x]a"]
)


def print_text(*parts: object) -> str:
    console = open_console()
    console.file = io.StringIO()
    for part in parts:
        console.print(part, soft_wrap=True)
    return str(console.file.getvalue())


@given(text=TEXT)
def test_text_is_printed_as_it_is(text: str) -> None:
    assert print_text(escape_control(text)) == f"{escape_control(text)}\n"
    assert print_text(format_label("failed", "red", text)) == f"failed {escape_control(text)}\n"
    assert escape_control(text).isprintable()
    assert text.isprintable() <= (escape_control(text) == text)


@given(text=TEXT)
def test_a_bar_shows_text_as_it_is(text: str) -> None:
    progress = Progress(text_column("{task.description}"), console=Console(file=io.StringIO()), disable=True)
    task = progress.add_task(escape_control(text))
    assert progress.columns[0].render(progress.tasks[task]).plain == escape_control(text)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["[copy].png", "[/b].png", ":ok:.png", "a[red]b.png", "[bold]\x1b[31m.png"])
def test_a_run_goes_on_whatever_its_slides_are_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"no slide")
    (tmp_path / "other.png").write_bytes(b"no slide either")
    slides = [str(tmp_path / name), str(tmp_path / "other.png")]
    done = CliRunner().invoke(cli.main, ["score", *slides, "--out", str(tmp_path / "out")])
    assert done.exit_code == 1, done.exception
    assert "2 of 2 slides failed" in done.output.replace("\n", " ")
    assert escape_control(name) in done.output.replace("\n", "")


def draw(table: Table, console: Console) -> str:
    console.file = io.StringIO()
    console.print(table)
    return str(console.file.getvalue())


CELL = st.text("abc0_-", min_size=1, max_size=60)


@given(rows=st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=4))
def test_a_table_in_a_pipe_holds_every_cell_whole(rows: list[tuple[str, str, str]]) -> None:
    table = open_table("id", "name", "scopes")
    for row in rows:
        table.add_row(*row)
    console = Console(file=io.StringIO(), width=UNBROKEN)
    lines = draw(table, console).splitlines()[3:-1]
    assert [tuple(cell.strip() for cell in line.strip("\u2502").split("\u2502")) for line in lines] == rows


@given(cell=CELL, width=st.integers(30, 80))
def test_a_table_on_a_terminal_cuts_nothing(cell: str, width: int) -> None:
    table = open_table("id", "name")
    table.add_row(cell, "lab")
    lines = draw(table, Console(file=io.StringIO(), width=width)).splitlines()[3:-1]
    assert "".join(line.split("\u2502")[1].strip() for line in lines) == cell
