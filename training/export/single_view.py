"""A released verifier as a graph of one view, so that serving turns and mirrors windows and may be content with one."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from serving.core.card_parts import VerifierViews
from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.scoring.onnx_classifier import OnnxClassifier
from serving.scoring.sessions import CPU, open_session
from serving.scoring.views import average_views
from training.export.graphs import VerifierGraph
from training.export.onnx_files import export_verifier
from training.export.publishing import hashes, publish
from training.export.version_files import write_graph
from training.models.verifier import Verifier
from training.models.weights import read_released_weights

MOST_APART = 1e-4
"""Of a probability, between eight views in the graph and eight by serving: another order of additions."""
UNCHOSEN = VerifierViews(
    count=8,
    first_probability=0.0,
    how_chosen="not yet: every candidate is shown all views",
    data="none",
    achieved="nothing",
)


def write_single_view(
    old: Path,
    models: Path,
    *,
    version: str = "0.0.1",
    views: VerifierViews = UNCHOSEN,
    stated: Mapping[str, object] | None = None,
) -> Path:
    """Write `models`/verifier/`version`, the weights of the version folder `old` behind a graph of one view; gives its folder.

    stated : further fields of the card that differ from the old one's

    Raises
    ------
    ValueError
        If its graph is one of a single view already, or not one net of this project's verifier.
    ModelError
        If eight views by serving are not what the old graph says of its sample, within `MOST_APART`.
    FileExistsError
        If the version is there already: versions never change.
    """
    card = load_card(old)
    if card.views is not None:
        raise ValueError(f"{card.name} {card.version} sees one view already")
    net = _read_net(old, card)
    target = models / card.name / version
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with np.load(old / "parity.npz") as parity:
            sample, expected = parity["input"], parity["probabilities"]
        write_graph(folder, VerifierGraph([net], views=1), export_verifier, sample)
        changed = {**(stated or {}), "version": version, "views": views, "files": hashes(folder)}
        new = card.model_copy(update=changed)
        graph = OnnxClassifier(new, CPU, open_session(folder, new, [CPU]))
        apart = float(np.abs(average_views(sample, graph.classify) - expected).max())
        if apart > MOST_APART:
            raise ModelError(
                f"eight views of {card.name} {card.version} differ by {apart:.2g} from what its graph says"
            )
        publish(folder, target, new)
    return target


def _read_net(old: Path, card: ModelCard) -> Verifier:
    net = Verifier(window_px=card.input.window_px)
    found = read_released_weights(old / "model.onnx")
    own = net.state_dict()
    if card.parameters != sum(p.numel() for p in net.parameters()) or found.keys() - own.keys():
        raise ValueError(
            f"{card.name} {card.version} is not one net of {net.window_px} px on the released trunk: release it anew from its run"
        )
    net.load_state_dict({**own, **found})
    net.eval()
    return net
