"""`mitoserve models shadow | compare | gate | reference | drift`: what is known of a candidate before it counts, and after."""

from collections.abc import Sequence
from pathlib import Path

import click

from serving.cli.server_state import ServerState, actor, golden_option, open_server_state
from serving.console import open_console, open_table
from serving.core.modelcard import ModelCard
from serving.core.words import RESEARCH_USE
from serving.drift.statistics import SlideStatistics, collect_statistics
from serving.drift.watch import DriftMonitor, DriftResult
from serving.jobs.shadows import ShadowRecord
from serving.registry.golden import read_golden
from serving.registry.shadows import Shadow
from serving.registry.version import GoldenSetError
from serving.roles.role import MODEL_ROLES
from serving.scoring.pipeline import score_slide
from serving.slides.opening import open_slide
from serving.store.shared_folder_store import open_folder_store

REFUSED = 1
"""Exit code of a candidate that its gates refuse."""
_out = open_console()


@click.command()
@click.argument("labels", nargs=-1, metavar="[NAME@VERSION...|VERSION]")
@click.option("--share", type=float, default=0.1, show_default=True, help="Of the analyses of kept slides.")
@click.option("--stop", is_flag=True, help="Stop the shadow that runs.")
def shadow(*, labels: tuple[str, ...], share: float, stop: bool) -> None:
    """Let a candidate repeat a share of the analyses of running servers; without a version, say what shadows have done.

    It is checked first. What it finds is kept apart, in no list and no count, and it works only while nothing else waits.
    """
    if stop and labels:
        raise click.UsageError("name a candidate to start a shadow, or give --stop")
    with open_server_state() as server:
        shadows = server.registry.shadows
        if labels:
            made = server.registry.shadow(labels, share, actor())
            server.record("models shadow", str(made.number))
            click.echo(f"shadow {made.number} repeats {made.share:.0%} of analyses: {_models(made)}")
        elif stop:
            running = [made for made in shadows.latest() if made.state == "running"]
            if not running:
                raise click.ClickException("no shadow runs")
            shadows.stop(running[0].number)
            server.record("models shadow --stop", str(running[0].number))
            click.echo(f"shadow {running[0].number} is stopped; `mitoserve models compare` sums up what it gathered")
        else:
            _list_shadows(shadows.latest(), ShadowRecord(server.database, open_folder_store(server.settings)))


@click.command()
@click.argument("labels", nargs=-1, required=True, metavar="NAME@VERSION...|VERSION")
@golden_option
def gate(*, labels: tuple[str, ...], golden: Path | None) -> None:
    """Score the golden set with a cascade and with what serves, and say whether it would be promoted; exit code 1 if not."""
    with open_server_state() as server:
        models = server.registry.cascade(labels)
        server.registry.check(models)
        found = server.registry.gates.verdict(models, server.registry.serving(), golden, again=True)
    for line in found.gates:
        click.echo(str(line))
    for name, measured in (("candidate", found.candidate), ("serving", found.serving)):
        error = "none" if measured.calibration_error is None else f"{measured.calibration_error:.3g}"
        click.echo(
            f"{name}: {measured.matched} of {measured.figures} figures, {measured.found} detections, expected calibration "
            f"error {error}, {measured.seconds:.1f} s for {measured.tissue_mm2:.2f} mm2 on {measured.slides} slides"
        )
    click.echo(RESEARCH_USE)
    if not found.passed:
        raise click.exceptions.Exit(REFUSED)


@click.command()
@click.option("--first", type=click.IntRange(1), help="The first so many slides that this server has scored.")
@click.option("--latest", type=click.IntRange(1), help="The latest so many.")
@golden_option
@click.option("--json", "as_json", is_flag=True, help="Print it as a model card states it, under drift_reference.")
def reference(*, first: int | None, latest: int | None, golden: Path | None, as_json: bool) -> None:
    """Say what recent slides are compared with, or choose it: slides of this server, or of a golden set."""
    if sum(value is not None for value in (first, latest, golden)) > 1:
        raise click.UsageError("give one of --first, --latest and --golden")
    with open_server_state() as server:
        card = _first_card(server)
        watch = DriftMonitor(server.database, server.settings.drift_analyses)
        if golden is not None:
            watch.put(card, _golden_statistics(server, golden), f"golden set {golden.name}", actor())
        elif first is not None or latest is not None:
            watch.take(card, first=first, latest=latest, actor=actor())
        if sum(value is not None for value in (first, latest, golden)):
            server.record("models reference", f"{card.name}@{card.version}")
        known = watch.reference(card)
    if known is None:
        click.echo(f"{card.name}@{card.version} has no reference yet; it takes one of its first slides by itself")
        return
    made = known.reference
    if as_json:
        click.echo(made.model_dump_json(indent=1))
        return
    click.echo(
        f"{card.name}@{card.version} is compared with {known.source}: {made.slides} slides, mean score {made.mean_score:.4g}, "
        f"mean optical density {made.mean_density:.3g}"
    )


@click.command()
def drift() -> None:
    """Compare the latest slides with the reference."""
    with open_server_state() as server:
        card = _first_card(server)
        found = DriftMonitor(server.database, server.settings.drift_analyses).drift(card)
    _print_drift(found)


def _list_shadows(shadows: Sequence[Shadow], record: ShadowRecord) -> None:
    table = open_table("shadow", "models", "share", "state", "waits", "runs", "done", "failed", "reason")
    for made in shadows:
        counts, faults = record.counts(made.number), record.faults(made.number)
        numbers = [str(counts[state]) for state in ("queued", "running", "succeeded", "failed")]
        table.add_row(
            str(made.number),
            _models(made),
            f"{made.share:g}",
            made.state,
            *numbers,
            made.detail or "; ".join(faults[:1]),
        )
    _out.print(table)


def _models(made: Shadow) -> str:
    return ", ".join(model.label for model in made.models)


def _first_card(server: ServerState) -> ModelCard:
    """Of the model that gives the map's scores: Reg-NS, or a one-stage detector, that serves; raises `MitoserveError`."""
    screening = MODEL_ROLES.cascade()["screening"]
    models = [m for m in server.registry.serving() if m.name == screening or MODEL_ROLES[m.name].one_stage]
    return server.registry.find_labelled(models[0].label)[1]


def _golden_statistics(server: ServerState, golden: Path) -> list[SlideStatistics]:
    """Of the slides of a golden set, scored with what serves; raises `MitoserveError`."""
    detector, found = server.registry.load(server.registry.serving()), []
    for known in read_golden(golden):
        click.echo(f"{known.path.name} ...", err=True)
        with open_slide(known.path) as slide:
            statistics = collect_statistics(score_slide(slide, detector))
        if statistics is not None:
            found.append(statistics)
    if not found:
        raise GoldenSetError(f"no slide of the golden set {golden} shows tissue")
    return found


def _print_drift(found: DriftResult) -> None:
    if found.reference is None:
        click.echo("there is no reference yet; `mitoserve models reference` makes one")
        return
    click.echo(f"{found.recent} recent slides against {found.reference.source}")
    if not found.measures:
        click.echo(f"nothing is said of fewer than {found.needed}")
    for measure in found.measures:
        click.echo(
            f"{measure.name}: {measure.value:.3g} {measure.unit}, {measure.level} (watch from {measure.watch:.3g}, alarm from "
            f"{measure.alarm:.3g}: {measure.source})"
        )
    click.echo(RESEARCH_USE)


COMMANDS = (shadow, gate, reference, drift)
"""Of the group `models`."""
