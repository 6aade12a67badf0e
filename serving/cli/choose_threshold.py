"""`mitoserve models choose-threshold`: a detector's threshold, chosen on labelled pictures."""

import shutil
import tempfile
from pathlib import Path

import click

from serving.cli.environment import read_settings
from serving.cli.labelled_options import labelled_options
from serving.console import format_message, open_console
from serving.core.card_parts import DetectionThreshold
from serving.core.errors import MitoserveError, RequestError
from serving.core.modelcard import ModelCard, load_card
from serving.core.words import RESEARCH_USE
from serving.datasets.labelled_folder import read_labelled_folder
from serving.evaluation.measured_picture import MeasuredPicture, measure_picture
from serving.evaluation.picture_results import PictureScorer
from serving.evaluation.threshold_choice import choose_detection_threshold
from serving.roles.role import MODEL_ROLES
from serving.scoring.loading import load_release

_out = open_console()
_err = open_console(stderr=True)


@click.command("choose-threshold", epilog=RESEARCH_USE)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="VERSION-FOLDER")
@labelled_options
@click.option(
    "--as", "new", required=True, metavar="VERSION", help="Number of the version with that threshold, such as 1.0.1."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of models, for <name>/<version>; by default that of VERSION-FOLDER.",
)
def choose_threshold(*, folder: Path, labelled: Path, mpp: float | None, rule: str, new: str, out: Path | None) -> None:
    """Choose the threshold of the one-stage detector in VERSION-FOLDER, and write the same weights as another version.

    The card states how well the choice does on cases that took no part in it.
    """
    try:
        card = load_card(folder)
        if not MODEL_ROLES.find(card.name, card.task).one_stage:
            raise RequestError(
                f"{folder} is a {card.task} model of a cascade, whose threshold is chosen with the others: see docs/judging.md"
            )
        target = (out or folder.parent.parent) / card.name / new
        if target.exists():
            raise RequestError(f"{target} is there already; versions never change, state another one")
        measured, data = _measure(folder, card, labelled, mpp)
        chosen = choose_detection_threshold(measured, rule, data=data)
        _write(folder, target, card, chosen)
    except (MitoserveError, OSError, ValueError) as error:
        raise click.ClickException(format_message(error)) from error
    _out.print(
        f"{card.name}@{new} is in {target}: probability {chosen.probability:g}; {chosen.achieved}", soft_wrap=True
    )
    _out.print(RESEARCH_USE)


def _measure(folder: Path, card: ModelCard, labelled: Path, mpp: float | None) -> tuple[list[MeasuredPicture], str]:
    """What the detector finds in the labelled pictures, beside their labels, and what the pictures are."""
    dataset, _ = read_labelled_folder(labelled, mpp=mpp)
    pictures = [picture for picture in dataset if picture.labelled]
    if not pictures:
        raise RequestError(f"{labelled} holds no labelled picture")
    with tempfile.TemporaryDirectory() as scratch:
        detector = load_release({card.name: folder}, providers=read_settings().providers)
        scorer = PictureScorer(detector, Path(scratch))
        measured = []
        for number, picture in enumerate(pictures, 1):
            try:
                found = scorer.score(picture, Path(dataset.root))
            except (MitoserveError, OSError) as error:
                _err.print(f"{picture.id} is left out: {format_message(error)}", soft_wrap=True, highlight=False)
                continue
            measured.append(measure_picture(picture, found))
            _err.print(f"{number} of {len(pictures)}: {picture.id}", soft_wrap=True, highlight=False)
    if not measured:
        raise RequestError(f"none of the {len(pictures)} labelled pictures of {labelled} can be scored")
    return measured, f"{dataset.name} ({dataset.format}), {len(measured)} pictures"


def _write(folder: Path, target: Path, card: ModelCard, chosen: DetectionThreshold) -> None:
    """The same files under another version, whole or not at all."""
    lowest = chosen.probability if card.least_probability is None else min(card.least_probability, chosen.probability)
    stated = card.model_copy(
        update={
            "version": target.name,
            "detection_threshold": chosen,
            "least_probability": lowest or card.least_probability,
        }
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as unfinished:
        part = Path(unfinished) / target.name
        part.mkdir()
        for name in card.files:
            shutil.copy2(folder / name, part / name)
        (part / "card.json").write_text(stated.model_dump_json(indent=1) + "\n", "utf-8")
        load_card(part)
        part.rename(target)
