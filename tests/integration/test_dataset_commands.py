"""`python -m training import` and `tiles` from the command line to the store."""

import csv
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from serving.core.words import RESEARCH_USE
from serving.datasets.readers.registry import FORMATS
from serving.datasets.store import read_store
from tests.fakes import make_cards, tissue
from tests.samples import write_picture, write_pyramid
from training.cli.group import main

pytestmark = pytest.mark.integration


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["python -m training", *map(str, arguments)])
        main()

    return run


def test_import_writes_the_store_and_says_what_became_of_each_record(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "a.png", tissue(200, 100))
    labels = tmp_path / "labels.csv"
    labels.write_text("picture,x,y,label\na.png,50,50,mitosis\na.png,190,50,look-alike\na.png,900,50,mitosis\n")
    out = tmp_path / "stores/a.json"
    run("import", "csv", labels, "--out", out, "--name", "mine", "--licence", "CC0", "--mpp", "0.25")
    store = read_store(out)
    assert (store.name, store.licence, store.format) == ("mine", "CC0", "csv")
    assert store.pictures[0].mpp == 0.25
    said = capsys.readouterr().out
    for line in (
        "took mitotic figures (1)",
        "clipped look-alikes that reach over the picture's edge (1)",
        "dropped mitotic figures outside their picture or without area (1)",
    ):
        assert line in " ".join(said.split())
    assert RESEARCH_USE in said


def test_import_of_a_wrong_file_ends_with_its_place_and_writes_nothing(
    run: Callable[..., None], tmp_path: Path
) -> None:
    write_picture(tmp_path / "a.png", tissue(200, 100))
    labels = tmp_path / "labels.csv"
    labels.write_text("picture,x,y,label\na.png,fifty,50,mitosis\n")
    with pytest.raises(SystemExit, match=r"error: .*labels\.csv: line 2, field x: 'fifty' is not a number"):
        run("import", "csv", labels, "--out", tmp_path / "a.json")
    with pytest.raises(SystemExit, match="error: --mpp is -1"):
        run("import", "csv", labels, "--out", tmp_path / "a.json", "--mpp", "-1")
    assert not (tmp_path / "a.json").exists()


def test_help_lists_every_format_with_a_line(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    run("import", "--help")
    said = capsys.readouterr().out.splitlines()
    for name, layout in FORMATS.items():
        assert any(line.split(maxsplit=1)[:2] == [name, layout.summary] for line in said)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A screening model whose score of a sub-tile is its darkness, 0 to 1."""
    folder = tmp_path / "models/dark/0.0.1"
    folder.mkdir(parents=True)
    tiles = helper.make_tensor_value_info("tiles", TensorProto.UINT8, ["n", "h", "w", 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", "rows", "columns"])
    constants = [
        helper.make_tensor(
            "kernel", TensorProto.FLOAT, [1, 3, 250, 250], np.full(187_500, -1 / 187_500 / 255, np.float32)
        ),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Cast", ["tiles"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["wide"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["bright"], strides=[125, 125]),
        helper.make_node("Add", ["bright", "one"], ["dark"]),
        helper.make_node("Squeeze", ["dark", "channel"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "dark", [tiles], [scores], initializer=constants)
    weights = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    onnx.checker.check_model(weights)
    (folder / "model.onnx").write_bytes(weights)
    card = make_cards()[0].model_copy(update={"files": {"model.onnx": hashlib.sha256(weights).hexdigest()}})
    (folder / "card.json").write_text(card.model_dump_json())
    return folder


def test_tiles_ranks_cuts_and_goes_on_after_a_slide_that_fails(
    run: Callable[..., None], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = tissue(2000, 1000)
    pixels[:, 1000:] //= 2
    slides = [write_pyramid(tmp_path / f"{name}.tif", pixels, mpp=0.25) for name in ("a", "b")]
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="1 of 3 slides failed"):
        run(
            "tiles",
            slides[0],
            tmp_path / "absent.svs",
            slides[1],
            "--out",
            out,
            "--rule",
            "expert",
            "--top",
            1,
            "--model",
            model,
        )
    said = capsys.readouterr()
    assert "failed" in said.err
    assert "there is no file absent.svs" in said.err
    assert "the paper's slides have 800 to 3,000 tiles" in said.out
    assert RESEARCH_USE in said.out
    with (out / "tiles.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(r["slide"], r["taken"]) for r in rows] == [
        ("a.tif", ""),
        ("a.tif", "top 1"),
        ("b.tif", ""),
        ("b.tif", "top 1"),
    ]
    store = read_store(out / "store.json")
    assert [p.path for p in store] == ["a/1000_0.png", "b/1000_0.png"]
    assert all((out / p.path).is_file() for p in store)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rule", "crowd", "--rest", "2"], "--rest is 2; give a share"),
        (["--rule", "expert", "--top", "0"], "--top is 0"),
        (["--rule", "expert", "--complete", "1"], "--complete belongs to the crowd rule"),
        (["--rule", "crowd", "--complete", "5"], "5 complete slides asked for, 1 were given"),
        (["--rule", "crowd", "--model", "models/det/1.2.2"], "is a detection model; give the folder of a screening"),
        (["--rule", "crowd", "--model", "nowhere"], "no model card at nowhere"),
    ],
)
def test_options_that_make_no_sense_are_named(
    run: Callable[..., None], arguments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        run("tiles", "a.svs", "--out", tmp_path / "out", *arguments)


def test_two_slides_of_one_name_are_refused(run: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="two slides are called a"):
        run("tiles", "x/a.svs", "y/a.tif", "--out", tmp_path / "out", "--rule", "crowd")
