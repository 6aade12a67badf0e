"""A release: a version folder for each model of a judged cascade, written only when every check passes."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from serving.core.card_parts import ScreeningThreshold
from serving.core.modelcard import ModelCard, load_card
from serving.datasets.store import Dataset
from training.evaluation.judgement import Judgement, ModelName
from training.export.cards import Made, det_card, make_kept_card, regns_card, screening_threshold, verifier_card
from training.export.graphs import (
    DetGraph,
    RegNSGraph,
    VerifierGraph,
    WholeTileRegNSGraph,
    det_graph,
    regns_graph,
    verifier_graph,
)
from training.export.judged_card import list_limits, make_judged_card
from training.export.onnx_files import export_det, export_regns, export_verifier
from training.export.parity import parity_tile, parity_windows
from training.export.parts import CascadeParts
from training.export.publishing import check_version_number, hashes, publish
from training.export.rounding import Samples, measure_drift, middles, round_to_half
from training.export.version_files import Export, write_graph


def release(
    parts: CascadeParts,
    judgement: Judgement,
    *,
    version: str,
    models: Path,
    screening: float | None = None,
    limits: Sequence[str] = (),
    dataset: Dataset | None = None,
    say: Callable[[str], None] = print,
) -> list[ModelCard]:
    """Write `models`/<name>/`version` for each model of a cascade.

    Of runs weights are rounded to half precision, exported in float32 arithmetic, compared with torch, stored, loaded again
    and compared again; a version that stays is copied. Nothing is left behind when a check fails.

    judgement : of cascades like this one, trained without the groups that they were judged on. The card of the model that
        speaks last states its threshold, calibration, count rule and figures
    screening : Reg-NS score from which Det looks at a sub-tile; by default that of the judgement's folds
    limits : sentences of what the judgement does not show, for every card, beside those that follow from it
    dataset : labelled pictures, on which the rounding is measured; by default generated tissue

    Raises
    ------
    ValueError
        If the judgement is of cascades that state to be made otherwise, no screening score is known, a run does not state
        what it learnt from, or the version is not of the form 1.2.3.
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances.
    FileExistsError
        If the version is there already: versions never change.
    """
    check_version_number(version)
    for name in parts.names:
        if (models / name / version).exists():
            raise FileExistsError(f"{models / name / version} exists; versions never change, choose another")
    seen = parts.seen()
    check_judged(parts, judgement)
    threshold = _screening(parts, judgement, screening)
    samples = Samples.from_dataset(dataset)
    stated = [*list_limits(judgement, seen), *limits]
    cards = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in parts.names:
            folder = Path(scratch) / name
            folder.mkdir()
            if name in parts.kept:
                card = _kept(parts.kept[name], folder, version, judgement, parts.last)
            else:
                card = _anew(name, parts, folder, version, judgement=judgement, samples=samples)
                say(f"{name}: {card.weights}")
            if name == "reg-ns":
                card = card.model_copy(update={"screening_threshold": threshold})
            card = card.model_copy(update={"limits": stated, "files": hashes(folder)})
            cards.append(make_judged_card(card, judgement) if name == parts.last else card)
        for card in cards:
            publish(Path(scratch) / card.name, models / card.name / version, card)
            say(f"wrote {models / card.name / version}")
    return cards


def check_judged(parts: CascadeParts, judgement: Judgement) -> None:
    """Refuse a judgement whose folds state that their cascades were made of something else.

    Raises
    ------
    ValueError
        If they do; the message names the model.
    """
    stated: Mapping[ModelName, str] = judgement.cascade.made_by
    ours = parts.made_by()
    for name in stated.keys() | (ours.keys() if stated else ()):
        if stated.get(name) != ours.get(name):
            raise ValueError(
                f"the judgement is of cascades whose {name} is made by {stated.get(name, 'nothing')}, that of the release by "
                f"{ours.get(name, 'nothing')}: judge what is to be released"
            )


def _screening(parts: CascadeParts, judgement: Judgement, given: float | None) -> ScreeningThreshold:
    stated = judgement.cascade.screening
    if given is not None and stated is not None and given != stated:
        raise ValueError(
            f"the folds were screened at {stated:g}, the release is to be at {given:g}: judge it as it is to serve"
        )
    score = stated if given is None else given
    if score is None and "reg-ns" in parts.kept:
        kept = load_card(parts.kept["reg-ns"]).screening_threshold
        score = None if kept is None else kept.score
    if score is None:
        raise ValueError("the folds' files do not state the screening score: give --screening")
    return screening_threshold(score, judgement)


def _kept(old: Path, folder: Path, version: str, judgement: Judgement, last: ModelName) -> ModelCard:
    card = load_card(old)
    for name in card.files:
        shutil.copy2(old / name, folder / name)
    return make_kept_card(card, version, judgement, last)


def _anew(
    name: ModelName, parts: CascadeParts, folder: Path, version: str, *, judgement: Judgement, samples: Samples
) -> ModelCard:
    runs = tuple(parts.runs[name])
    graph: RegNSGraph | WholeTileRegNSGraph | DetGraph | VerifierGraph
    export: Export
    if name == "reg-ns":
        graph, export = regns_graph(*runs), export_regns
        sample, pixels = parity_tile(), samples.tiles
    elif name == "det":
        graph, export = det_graph(*runs), export_det
        sample, pixels = parity_windows(), samples.windows
    else:
        graph, export = verifier_graph(runs), export_verifier
        sample, pixels = (middles(w, graph.window_px) for w in (parity_windows(), samples.windows))
    half = round_to_half(graph)
    made = Made(
        version, runs, write_graph(folder, half, export, sample), measure_drift(graph, half, pixels, samples.where)
    )
    if isinstance(graph, VerifierGraph):
        return verifier_card(made, judgement, graph.window_px)
    return (regns_card if name == "reg-ns" else det_card)(made, judgement, parts.last)
