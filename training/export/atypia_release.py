"""A version of the classifier of atypical figures: its graph, checked against torch, and a card from its run and judgement."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from serving.core.card_parts import AtypicalThreshold, ProbabilityCalibration
from serving.core.modelcard import ModelCard
from serving.core.modelinput import ModelInput
from serving.core.probability import LogitAffine
from serving.core.words import RESEARCH_USE
from training.evaluation.atypia import AtypiaFigures, AtypiaJudgement
from training.evaluation.judgement_tables import format_measured
from training.export.cards import Made, describe_window_net, state_drift
from training.export.graphs import VerifierGraph
from training.export.onnx_files import export_verifier
from training.export.origins import data_of_runs
from training.export.parity import parity_windows
from training.export.publishing import check_version_number, hashes, publish
from training.export.rounding import Samples, measure_drift, middles, round_to_half
from training.export.version_files import write_graph
from training.models.verifier import Verifier
from training.recipes.atypia import AtypiaRecipe
from training.recipes.record import RunRecord, read_record
from training.recipes.runs import load_run

NAME = "atypia"
_MEASURES = ("balanced_accuracy", "sensitivity", "specificity", "auc", "calibration_error")


def release_atypia(
    run: Path, judgement: AtypiaJudgement, *, version: str, models: Path, say: Callable[[str], None] = print
) -> ModelCard:
    """Write `models`/atypia/`version` of a run; nothing is left behind when a check fails.

    Parameters
    ----------
    run
        Folder of a finished run of an atypia recipe.
    judgement
        Of runs of the same recipe, each on whom it never saw; the card states its threshold, calibration and figures.
    version
        Such as 2.1.0.
    models
        Folder of <name>/<version>.
    say
        Is told what was written.

    Returns
    -------
    ModelCard
        The card as it was written.

    Raises
    ------
    ValueError
        If the run is of another kind of recipe, does not state what it learnt from, or learnt nothing of a set that was judged, or
        the version is not of the form 1.2.3.
    FileNotFoundError
        If the run is not finished.
    FileExistsError
        If the version is there already: versions never change.
    ModelError
        If ONNX Runtime and torch differ by more than the tolerances.
    """
    check_version_number(version)
    if (models / NAME / version).exists():
        raise FileExistsError(f"{models / NAME / version} exists; versions never change, choose another")
    recipe, model = load_run(run)
    if not isinstance(recipe, AtypiaRecipe) or not isinstance(model, Verifier):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe; give a run of an atypia recipe")
    record = read_record(run)
    if record is None:
        raise ValueError(f"{run} does not state in run.json what it learnt from; train it again")
    _check_sets(run, record, judgement)
    graph, samples = VerifierGraph([model]), Samples.from_dataset(None)
    half, side = round_to_half(graph), graph.window_px
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / NAME
        folder.mkdir()
        parameters = write_graph(folder, half, export_verifier, middles(parity_windows(), side))
        drift = measure_drift(graph, half, middles(samples.windows, side), samples.where)
        card = _make_card(Made(version, (run,), parameters, drift), judgement, record, side)
        card = card.model_copy(update={"files": hashes(folder)})
        publish(folder, models / NAME / version, card)
    say(f"{NAME}: {card.weights}")
    say(f"wrote {models / NAME / version}")
    return card


def _check_sets(run: Path, record: RunRecord, judgement: AtypiaJudgement) -> None:
    """A judgement of other sets says nothing of the run."""
    judged, learnt = {source.source for source in judgement.sources[1:]}, {s.name for s in record.stores if s.pictures}
    if judged != learnt:
        raise ValueError(
            f"the judgement is of {', '.join(sorted(judged))}, and {run} learnt from {', '.join(sorted(learnt)) or 'nothing'}: "
            "release a run of all that was judged"
        )


def _make_card(made: Made, judgement: AtypiaJudgement, record: RunRecord, side: int) -> ModelCard:
    pooled, names = judgement.sources[0], ", ".join(source.source for source in judgement.sources[1:])
    chosen = f"on all {pooled.crops:,} crops, as for each fold on those of the others"
    return ModelCard(
        schema_version="1.0",
        name=NAME,
        version=made.version,
        task="classification",
        architecture=describe_window_net(made, "figure"),
        input=ModelInput(
            window_px=side,
            stride_px=side,
            mpp=0.25,
            layout=f"windows: uint8 (N, {side}, {side}, 3) RGB, figure in the middle",
        ),
        output="probabilities: float32 (N), that the figure in the middle of the window is atypical, before calibration",
        weights=state_drift(made.drift),
        parameters=made.parameters,
        atypical_threshold=AtypicalThreshold(
            probability=judgement.threshold,
            how_chosen=f"highest balanced accuracy, {chosen}; of calibrated probability",
            data=names,
            achieved=f"balanced accuracy {format_measured(pooled.balanced_accuracy)} by thresholds of the other folds",
        ),
        probability_calibration=ProbabilityCalibration(
            map=LogitAffine(slope=judgement.slope, intercept=judgement.intercept),
            how_chosen=f"Platt's, {chosen}",
            data=names,
            achieved=f"expected calibration error {format_measured(pooled.calibration_error)} by calibrations of the other folds",
        ),
        data=data_of_runs(made.runs),
        evaluation=" ".join(
            [
                f"{len(judgement.folds)} folds over {pooled.crops:,} crops: {judgement.how}.",
                *(_describe(source) for source in judgement.sources),
            ]
        ),
        per_slide=[],
        figures={
            f"cross_validated_{source.source}_{measure}": format_measured(getattr(source, measure))
            for source in judgement.sources
            for measure in _MEASURES
        },
        limits=_list_limits(judgement, record),
        research_use=RESEARCH_USE,
        files={"model.onnx": "0" * 64},
    )


def _describe(source: AtypiaFigures) -> str:
    return (
        f"{'All' if source.source == 'all' else source.source}: {source.crops:,} crops, {source.atypical:,} atypical; balanced accuracy "
        f"{format_measured(source.balanced_accuracy)} (sensitivity {format_measured(source.sensitivity)}, specificity "
        f"{format_measured(source.specificity)}), AUC {format_measured(source.auc)}, expected calibration error "
        f"{format_measured(source.calibration_error)}."
    )


def _list_limits(judgement: AtypiaJudgement, record: RunRecord) -> list[str]:
    """What the judgement does not show."""
    names = [source.source for source in judgement.sources[1:]]
    whole = [store.name for store in record.stores if store.patients == 1]
    limits = [
        f"Judged on crops of {', '.join(names)}, centred on what experts had called mitotic figures: candidates of a cascade, which lie off "
        "the middle and of which a part are no figures, were not judged.",
        "Other tissue, species, scanners and stains than those of these sets are not measured.",
        "What is atypical is what the experts of these sets called so; they differ among themselves.",
        "Probabilities are calibrated to the share of atypical figures in these sets taken together.",
    ]
    if whole:
        limits.append(
            f"{', '.join(whole)}: no cases are stated, so each was judged as a whole, and its intervals draw crops."
        )
    if left_out := len(record.test):
        limits.append(f"The weights learnt nothing from {left_out} patients that were left out of the run.")
    return limits
