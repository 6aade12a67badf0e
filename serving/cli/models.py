"""`mitoserve models`: which versions there are, whether they may serve on this machine, and which of them do."""

from pathlib import Path

import click
from rich.text import Text

from serving.cli.adopt import adopt
from serving.cli.candidates import COMMANDS
from serving.cli.choose_threshold import choose_threshold
from serving.cli.compare import compare_cascades
from serving.cli.ensemble import ensemble
from serving.cli.server_state import actor, golden_option, open_server_state
from serving.console import open_console, open_table
from serving.core.modelcard import ModelCard
from serving.core.words import RESEARCH_USE
from serving.registry.releases import Release
from serving.registry.version_check import NO_GRAPH

_out = open_console()


@click.group(epilog=RESEARCH_USE)
def models() -> None:
    """List, check, add and choose the models of this server; MITOSIS_STATE says which server.

    A version is written like det@1.1.0. Versions never change; what serves is a cascade, one version of each model.
    """


for _command in (adopt, choose_threshold, ensemble, compare_cascades, *COMMANDS):
    models.add_command(_command)


@models.command("list")
def list_versions() -> None:
    """List every version, whether it serves, its threshold and what was measured."""
    with open_server_state() as server:
        found = server.registry.versions()
    if not found:
        raise click.ClickException("there are no models; set MITOSIS_MODELS")
    table = open_table("model", "version", "", "task", "threshold", "measured", "sha256")
    for row in found:
        state = "serves" if row.serves else "retired" if row.retired else ""
        stated = (Text(row.fault, "red"), "", "", "") if row.card is None else _describe_card(row.card)
        table.add_row(row.name, row.version, state, *stated)
    _out.print(table)
    _out.print(RESEARCH_USE)


@models.command()
@click.argument("label", metavar="NAME@VERSION")
def show(*, label: str) -> None:
    """Print the card of a version: what it is, its thresholds, what was measured, its limits."""
    with open_server_state() as server:
        _, card = server.registry.find_labelled(label)
    click.echo(card.model_dump_json(indent=1))


@models.command()
@click.argument("labels", nargs=-1, metavar="[NAME@VERSION]...")
def verify(*, labels: tuple[str, ...]) -> None:
    """Check versions on this machine, by default those that serve; exit code 1 and the reason if one may not."""
    with open_server_state() as server:
        chosen = [server.registry.find_labelled(label)[0] for label in labels] or server.registry.serving()
        for found in server.registry.check(chosen, again=True):
            listed = ", ".join(f"{name} {value:.1e}" for name, value in found.parity.items())
            signed = f", signed by {found.signer}" if found.signer else ""
            if found.provider == NO_GRAPH:
                click.echo(f"{found.name}@{found.version} may serve: it is all in its card, which is valid{signed}")
                continue
            click.echo(
                f"{found.name}@{found.version} may serve: largest differences from its sample {listed}; "
                f"{found.window_s:.2g} s a window on {found.provider}; opset {found.opset}{signed}"
            )
    click.echo(RESEARCH_USE)


@models.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def add(*, folder: Path) -> None:
    """Check the version in FOLDER and keep it in MITOSIS_MODEL_STORE; what serves stays as it is."""
    with open_server_state() as server:
        version = server.registry.add(folder)
        server.record("models add", version.label)
    click.echo(f"{version.label} is kept; `mitoserve models promote` makes it serve")


@models.command()
@click.argument("labels", nargs=-1, required=True, metavar="NAME@VERSION...|VERSION")
@golden_option
@click.option("--force", is_flag=True, help="Do not ask the gates; --because says why.")
@click.option("--because", default="", help="Why the gates are not asked; the audit log keeps it.")
def promote(*, labels: tuple[str, ...], golden: Path | None, force: bool, because: str) -> None:
    """Make a cascade serve: name a version of each model, or one VERSION that all of them have.

    It is checked first, and where there is a golden set its gates are asked. Running servers load it beside the old one, then
    run new analyses on it; running ones end on theirs.
    """
    reason = because.strip()
    if force != bool(reason):
        raise click.UsageError("--force and --because go together: say why the gates shall not be asked")
    with open_server_state() as server:
        release = server.registry.promote(labels, actor(), golden=golden, because=reason or None)
        server.record("models promote", f"{release.number} forced: {reason}" if force else str(release.number))
    _tell(release)


@models.command()
def rollback() -> None:
    """Make the cascade serve again that the present one replaced."""
    with open_server_state() as server:
        release = server.registry.rollback(actor())
        server.record("models rollback", str(release.number))
    _tell(release)


@models.command()
@click.argument("label", metavar="NAME@VERSION")
def retire(*, label: str) -> None:
    """Let a version never serve again; its files stay for what it said before."""
    with open_server_state() as server:
        version = server.registry.retire(label)
        server.record("models retire", version.label)
    click.echo(f"{version.label} is retired")


@models.command()
def releases() -> None:
    """List what served when, the newest first, with who asked for it and why some were refused."""
    table = open_table("release", "models", "state", "by", "reason")
    with open_server_state() as server:
        current = server.registry.releases.current()
        for release in server.registry.releases.latest():
            why = f"gates not asked: {release.because}" if release.because else release.detail
            state = _state(release, serves=current is not None and release.number == current.number)
            table.add_row(str(release.number), _models(release), state, release.actor, why)
    _out.print(table)


def _describe_card(card: ModelCard) -> tuple[str, str, str, str]:
    """Task, threshold, what it achieved, and the hash of the weights."""
    if card.screening_threshold is not None:
        return card.task, f"{card.screening_threshold.score:.3g}", card.screening_threshold.achieved, card.sha256()[:12]
    chosen = card.detection_threshold
    value, achieved = ("", "") if chosen is None else (f"{chosen.probability:.3g}", chosen.achieved)
    return card.task, value, achieved, card.sha256()[:12]


def _state(release: Release, *, serves: bool) -> str:
    """One of `serves`, `served` (before another one), `waits` (to be tried by running servers) and `refused`."""
    if release.state == "promoted":
        return "serves" if serves else "served"
    return "waits" if release.state == "wanted" else release.state


def _tell(release: Release) -> None:
    if release.detail:
        click.echo(f"warning: {release.detail}", err=True)
    click.echo(f"release {release.number} serves: {_models(release)}; running servers move over by themselves")


def _models(release: Release) -> str:
    return ", ".join(model.label for model in release.models)
