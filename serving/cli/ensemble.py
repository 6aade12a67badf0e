"""`mitoserve models ensemble`: several detectors become one, with weights chosen on labelled pictures."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from serving.cli.labelled_options import labelled_options
from serving.cli.server_state import open_server_state
from serving.console import format_message, open_console, open_table
from serving.core.card_parts import DetectionThreshold
from serving.core.errors import MitoserveError, RequestError
from serving.core.fusion import CASCADE, FusedDetector, FusedModel, Fusion, FusionMethod
from serving.core.modelcard import ModelCard, load_card
from serving.core.words import RESEARCH_USE, format_count
from serving.datasets.labelled_folder import read_labelled_folder
from serving.datasets.pictures import open_picture
from serving.evaluation.bootstrap import BootstrapInterval
from serving.evaluation.fusion_choice import (
    METHODS,
    FusablePicture,
    FusionChoice,
    JudgedEntry,
    choose_fusion,
    find_with_each,
    judge_fusion,
)
from serving.registry.version import VersionId
from serving.roles.role import MODEL_ROLES
from serving.scoring.detector import list_members
from serving.scoring.loading import load_release
from serving.scoring.matching import MATCH_RADIUS_UM

_out = open_console()
_err = open_console(stderr=True)


@click.command(epilog=RESEARCH_USE)
@click.argument("labels", nargs=-1, required=True, metavar="NAME@VERSION...")
@labelled_options
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="Mean of probabilities, or of their logits; by default what ranks the pictures better.",
)
@click.option("--as", "new", required=True, metavar="VERSION", help="Number of the ensemble, such as 1.0.0.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the ensemble below this folder, ensemble/<version>, and keep it nowhere else.",
)
def ensemble(
    *,
    labels: tuple[str, ...],
    labelled: Path,
    mpp: float | None,
    rule: str,
    method: FusionMethod | None,
    new: str,
    out: Path | None,
) -> None:
    """Make an ensemble of several detectors: name the versions of a cascade, of a model of points, of one of boxes.

    Every picture is scored by each. Method, weights and threshold are those that rank all labelled cases best; what is stated of
    them is measured on each case at the choice of the other cases.
    """
    try:
        with open_server_state() as server, tempfile.TemporaryDirectory() as scratch:
            found = [server.registry.find_labelled(label)[0] for label in labels]
            groups = group_versions(found)
            target = (out or Path(scratch)) / "ensemble" / new
            if target.exists():
                raise RequestError(f"{target} is there already; versions never change, state another one")
            server.registry.check(found)
            folders = server.registry.locate(found)
            pictures, data = _measure(groups, folders, labelled, mpp, server.settings.providers)
            methods = METHODS if method is None else (method,)
            judged = judge_fusion(pictures, rule, methods)
            chosen = choose_fusion(pictures, rule, methods)
            card = make_card(new, groups, folders, chosen, judged, pictures=pictures, data=data, rule=rule)
            target.mkdir(parents=True)
            (target / "card.json").write_text(card.model_dump_json(indent=1) + "\n", "utf-8")
            load_card(target)
            _print(judged)
            if out is None:
                version = server.registry.add(target)
                server.record("models ensemble", version.label)
    except (MitoserveError, OSError, ValueError) as error:
        raise click.ClickException(format_message(error)) from error
    where = f"in {target}" if out is not None else "kept"
    stated = ", ".join(f"{name} {weight:g}" for name, weight in zip(groups, chosen.weights, strict=True))
    _out.print(
        f"ensemble@{new} is {where}: {chosen.method} of {stated}; `mitoserve models promote ensemble@{new}` makes it serve",
        soft_wrap=True,
    )
    _out.print(RESEARCH_USE)


def group_versions(found: Sequence[VersionId]) -> dict[str, list[VersionId]]:
    """The versions of each detector, by the name that an ensemble has for it, in the order in which they see a slide.

    Raises
    ------
    RequestError
        If they are not two detectors or more, each whole.
    """
    names = [version.name for version in found]
    if unknown := [n for n in names if n not in MODEL_ROLES or names.count(n) > 1]:
        raise RequestError(f"{unknown[0]} is no model of a detector, or named twice: an ensemble has one of each role")
    if missing := MODEL_ROLES.missing(names):
        raise RequestError(f"a cascade needs {' and '.join(missing)} too: name a version of each, thresholds are joint")
    groups: dict[str, list[VersionId]] = {}
    for version in sorted(found, key=lambda v: list(MODEL_ROLES).index(v.name)):
        role = MODEL_ROLES[version.name]
        if not (role.in_cascade or role.one_stage):
            raise RequestError(f"{version.label} finds no figures: name it beside the ensemble when you promote")
        groups.setdefault(CASCADE if role.in_cascade else version.name, []).append(version)
    if len(groups) < 2:
        raise RequestError(f"{', '.join(groups)} is one detector: an ensemble is of two or more")
    return groups


def _measure(
    groups: Mapping[str, Sequence[VersionId]],
    folders: Mapping[str, Path],
    labelled: Path,
    mpp: float | None,
    providers: Sequence[str] | None,
) -> tuple[list[FusablePicture], str]:
    """What each detector finds in the labelled pictures, and what the pictures are."""
    dataset, _ = read_labelled_folder(labelled, mpp=mpp)
    pictures = [picture for picture in dataset if picture.labelled]
    if not pictures:
        raise RequestError(f"{labelled} holds no labelled picture")
    detectors = {}
    for name, versions in groups.items():
        release = load_release({version.name: folders[version.name] for version in versions}, providers=providers)
        (detectors[name],) = list_members(release).values()
    measured = []
    for number, picture in enumerate(pictures, 1):
        try:
            with open_picture(Path(dataset.root) / picture.path, name=picture.id) as slide:
                measured.append(find_with_each(picture, slide, detectors, MATCH_RADIUS_UM))
        except (MitoserveError, OSError) as error:
            _err.print(f"{picture.id} is left out: {format_message(error)}", soft_wrap=True, highlight=False)
            continue
        _err.print(f"{number} of {len(pictures)}: {picture.id}", soft_wrap=True, highlight=False)
    if not any(len(one.picture.centres()) for one in measured):
        raise RequestError(f"the pictures of {labelled} that can be scored hold no labelled figure: weights need some")
    return measured, f"{dataset.name} ({dataset.format}), {format_count(len(measured), 'picture')}"


def make_card(
    new: str,
    groups: Mapping[str, Sequence[VersionId]],
    folders: Mapping[str, Path],
    chosen: FusionChoice,
    judged: Sequence[JudgedEntry],
    *,
    pictures: Sequence[FusablePicture],
    data: str,
    rule: str,
) -> ModelCard:
    """The card of an ensemble: its detectors, how they are fused, and what was measured of it; raises as `load_card`."""
    detectors = [
        FusedDetector(
            name=name,
            models=[FusedModel(name=v.name, version=v.version, card=v.digest) for v in versions],
            weight=weight,
            floor=floor,
        )
        for (name, versions), weight, floor in zip(groups.items(), chosen.weights, chosen.floors, strict=True)
    ]
    cases = format_count(len({one.picture.patient for one in pictures}), "case")
    achieved = f"not measured: {cases}, and a figure needs a case that took no part in the choice"
    if judged:
        achieved = f"{describe(judged[-1])} on {cases}, each at the choice of the others; intervals over cases"
    alone = "; ".join(f"{entry.name} alone {describe(entry)}" for entry in judged[:-1])
    first = load_card(folders[next(iter(groups.values()))[0].name])
    seconds = {name: sum(one.seconds[name] for one in pictures) for name in groups}
    tissue = max(sum(one.tissue_mm2 for one in pictures), 1e-9)
    listed = ", ".join(f"{name} {value / tissue:.3g}" for name, value in seconds.items())
    return ModelCard(
        schema_version="1.0",
        name="ensemble",
        version=new,
        task="fusion",
        architecture=f"weighted fusion of {', '.join(groups)}",
        # What the first detector is fed, which gives the map; it states its overlap itself.
        input=first.input.model_copy(update={"overlap_px": None}),
        output="one probability of each place",
        weights="the weights of the detectors are on this card",
        parameters=len(detectors),
        detection_threshold=DetectionThreshold(
            probability=chosen.threshold, how_chosen=f"by the rule {rule}, on all of them", data=data, achieved=achieved
        ),
        fusion=Fusion(
            method=chosen.method,
            distance_um=MATCH_RADIUS_UM,
            detectors=detectors,
            how_chosen="the highest average precision on all of them; floors are shares of figures among what others found alone",
            data=data,
            achieved="; ".join([achieved, *([alone] if alone else [])]),
            speed=f"{sum(seconds.values()) / tissue:.3g} s a mm2 of tissue, the sum of {listed}, measured while weights were chosen",
        ),
        data=[],
        evaluation="each case at the method, weights, floors and threshold that the other cases choose",
        per_slide=[],
        figures=_list_figures(judged),
        limits=["its probability is a mean of calibrated ones, and is not calibrated itself"],
        research_use=RESEARCH_USE,
        files={},
    )


def describe(entry: JudgedEntry) -> str:
    """F1 and average precision with their intervals."""
    return f"F1 {_state(entry.f1)}, AP {_state(entry.average_precision)}"


def _list_figures(judged: Sequence[JudgedEntry]) -> dict[str, float | str]:
    figures: dict[str, float | str] = {}
    for entry in judged:
        figures |= {f"{entry.name}_f1": _state(entry.f1), f"{entry.name}_ap": _state(entry.average_precision)}
        if entry.f1_gain is not None and entry.precision_gain is not None:
            figures[f"f1_gain_over_{entry.name}"] = _state(entry.f1_gain)
            figures[f"ap_gain_over_{entry.name}"] = _state(entry.precision_gain)
    return figures


def _state(found: BootstrapInterval) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _print(judged: Sequence[JudgedEntry]) -> None:
    if not judged:
        _out.print("one case: nothing is left to measure on")
        return
    table = open_table("detector", "F1", "average precision", "F1 of the ensemble beyond it", "its AP beyond it")
    for entry in judged:
        gains = [
            "" if gain is None else f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            for gain in (entry.f1_gain, entry.precision_gain)
        ]
        table.add_row(entry.name, _state(entry.f1), _state(entry.average_precision), *gains)
    _out.print(table)
