"""`mitoserve benchmark`: releases on a labelled folder, with a table for each tumour, scanner and case."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serving.cli.server_state import ServerState, open_server_state
from serving.console import escape_control, format_label, format_message, open_console, open_table, text_column
from serving.core.errors import MitoserveError, RequestError
from serving.core.words import RESEARCH_USE, format_count
from serving.datasets.labelled_folder import read_labelled_folder
from serving.datasets.pictures import read_properties
from serving.datasets.store import Dataset, Picture
from serving.evaluation.benchmark import (
    Benchmark,
    BenchmarkEntry,
    PictureFailure,
    compare_groups,
    summarise_groups,
)
from serving.evaluation.benchmark_page import benchmark_csv, benchmark_page, pictures_csv
from serving.evaluation.challenge_points import DetectionsOfOthers
from serving.evaluation.measured_picture import HOTSPOT_MM2, MeasuredPicture, measure_picture
from serving.evaluation.picture_results import PictureResult, PictureScorer
from serving.registry.provenance import check_licences
from serving.scoring.detector import counting_threshold, list_cards, list_released_cards
from serving.scoring.loading import load_detector
from serving.scoring.matching import MATCH_RADIUS_UM
from serving.scoring.onnx_detector import ReleasedDetector

SOME_FAILED = 1
"""Exit code when an entry has no result for at least one picture."""
_out = open_console()
_err = open_console(stderr=True)


@dataclass(frozen=True, slots=True)
class _ReadyEntry:
    """An entry, and what gives its result for a picture."""

    entry: BenchmarkEntry
    find: Callable[[Picture], PictureResult]


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--release",
    "releases",
    multiple=True,
    metavar="RELEASE",
    help="One number of all models, versions such as det@2.0.0,reg-ns@2.0.0, `serving`, or a folder of models. Repeatable.",
)
@click.option(
    "--detections",
    multiple=True,
    metavar="NAME=PATH",
    help="mitotic-figures.json of somebody's container: a folder with <picture>.json, or one file by picture. Repeatable.",
)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option("--format", "format_name", help="Of the labels, where the files do not tell.")
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the pictures.")
@click.option("--mpp", type=click.FloatRange(0, min_open=True), help="Microns per px, in place of what pictures state.")
@click.option(
    "--hotspot-area",
    type=click.FloatRange(0, min_open=True),
    default=HOTSPOT_MM2,
    show_default=True,
    help="mm2 of the hotspots that are compared.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many labelled pictures.")
def benchmark(
    folder: Path,
    *,
    releases: tuple[str, ...],
    detections: tuple[str, ...],
    out: Path,
    format_name: str | None,
    images: Path | None,
    mpp: float | None,
    hotspot_area: float,
    limit: int | None,
) -> None:
    """Hold releases against a labelled FOLDER: F1, average precision, counts, hotspots and speed, by tumour, scanner and case.

    Thresholds are those of the releases' cards. The same command goes on where an earlier one stopped.
    """
    if not releases and not detections:
        raise click.UsageError("give --release or --detections")
    with open_server_state() as server:
        data, noted = read_labelled_folder(folder, format_name=format_name, images=images, mpp=mpp)
        labelled = [picture for picture in data if picture.labelled]
        pictures = labelled[:limit]
        if not pictures:
            raise click.ClickException(f"{folder} holds no labelled picture")
        entries = [_load_release(server, name, data, out) for name in releases]
        entries += [_read_detections(stated, data) for stated in detections]
        if len({one.entry.name for one in entries}) < len(entries):
            raise click.UsageError("two entries have one name")
        judged: list[tuple[str, list[MeasuredPicture]]] = []
        failures: list[PictureFailure] = []
        for one in entries:
            found = _run(one, pictures, failures)
            judged.append((one.entry.name, [measure_picture(p, r, hotspot_mm2=hotspot_area) for p, r in found]))
        made = Benchmark(
            data_set=data.name,
            format=data.format,
            licence=data.licence,
            pictures=len(pictures),
            unlabelled=len(data.pictures) - len(labelled),
            match_radius_um=MATCH_RADIUS_UM,
            hotspot_mm2=hotspot_area,
            entries=[one.entry for one in entries],
            groups=[group for name, own in judged for group in summarise_groups(name, own)],
            differences=[found for other in judged[1:] for found in compare_groups(judged[0], other)],
            failures=failures,
            notes=noted.lines(),
        )
        _write(made, judged, out)
    _print(made)
    if failures:
        sys.exit(SOME_FAILED)


def _load_release(server: ServerState, name: str, data: Dataset, out: Path) -> _ReadyEntry:
    """A release that is loaded now, each picture scored when it is asked for; raises `MitoserveError`."""
    detector: ReleasedDetector
    if Path(name).is_dir():
        detector = load_detector(Path(name), providers=server.settings.providers)
    else:
        detector = server.registry.load(server.registry.complete(name.split(",")))
    cards = list_released_cards(detector)
    check_licences(cards, server.settings.allowed_licences)
    models = [f"{card.name}@{card.version}" for card in cards]
    scorer = PictureScorer(detector, out / "scored" / "+".join(models))
    root = Path(data.root)

    def find(picture: Picture) -> PictureResult:
        return scorer.find(picture, root) or scorer.score(picture, root)

    threshold = counting_threshold(list_cards(detector))
    entry = BenchmarkEntry(name=name, models=models, threshold=threshold, provider=detector.provider)
    return _ReadyEntry(entry, find)


def _read_detections(stated: str, data: Dataset) -> _ReadyEntry:
    """What others found; raises `RequestError`."""
    name, _, path = stated.partition("=")
    if not name or not path or not Path(path).exists():
        raise RequestError(f"--detections is {stated}; give NAME=PATH of a file or folder that is there")
    others = DetectionsOfOthers(Path(path))

    def find(picture: Picture) -> PictureResult:
        mpp = picture.mpp or read_properties(Path(data.root, picture.path)).mpp
        if mpp is None:
            raise RequestError(f"{picture.id} states no microns per px, and points are in mm: give --mpp")
        relative = Path(picture.path)
        return others.find((picture.id, relative.as_posix(), relative.name, relative.stem), mpp)

    return _ReadyEntry(BenchmarkEntry(name=name), find)


def _run(
    one: _ReadyEntry, pictures: Sequence[Picture], failures: list[PictureFailure]
) -> list[tuple[Picture, PictureResult]]:
    """The result of each picture; one that has none is named and does not stop the others."""
    columns = (
        text_column("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pictures"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    found = []
    with Progress(*columns, console=_err, disable=not _err.is_terminal) as bar:
        task = bar.add_task(escape_control(one.entry.name), total=len(pictures))
        for number, picture in enumerate(pictures, 1):
            try:
                found.append((picture, one.find(picture)))
            except (MitoserveError, ValueError, OSError) as error:
                failures.append(PictureFailure(entry=one.entry.name, picture=picture.id, reason=str(error)))
                _err.print(format_label("failed", "red", f"{picture.id}: {format_message(error)}"), soft_wrap=True)
            bar.update(task, completed=number)
            if not _err.is_terminal:
                _err.print(f"{escape_control(one.entry.name)}: {number} of {len(pictures)}", soft_wrap=True)
    return found


def _write(made: Benchmark, judged: Sequence[tuple[str, Sequence[MeasuredPicture]]], out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.json").write_text(made.model_dump_json(indent=1))
    (out / "benchmark.csv").write_text(benchmark_csv(made))
    (out / "pictures.csv").write_text(pictures_csv(judged))
    (out / "benchmark.html").write_bytes(benchmark_page(made))
    click.echo(f"benchmark.json, benchmark.csv, pictures.csv and benchmark.html are in {out}")


def _print(made: Benchmark) -> None:
    table = open_table("entry", "group", "pictures", "figures", "F1", "95 %", "average precision", "s/mm2")
    for group in made.groups:
        if group.by == "case":
            continue
        interval = (
            "-" if group.f1.low is None or group.f1.high is None else f"{group.f1.low:.3f} to {group.f1.high:.3f}"
        )
        numbers = (group.f1.value, group.average_precision.value, group.seconds_per_mm2)
        f1, precision, speed = ("-" if value is None else f"{value:.3f}" for value in numbers)
        table.add_row(group.entry, group.group, str(group.pictures), str(group.figures), f1, interval, precision, speed)
    _out.print(table)
    if made.failures:
        _err.print(f"{format_count(len(made.failures), 'result')} missing, named in benchmark.html")
    click.echo(RESEARCH_USE)
