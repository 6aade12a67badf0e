"""The graphs of the serving contract that runs become: one for each of the cascade's models."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from torch import nn

from training.export.graphs import DetGraph, RegNSGraph, VerifierGraph
from training.export.whole_tile import WholeTileRegNSGraph
from training.models.cascade import CascadeNet
from training.models.verifier import Verifier
from training.models.whole_tile import WholeTileRegNS
from training.recipes.runs import load_run

_Model = TypeVar("_Model", bound=nn.Module)


def regns_graph(run: Path) -> RegNSGraph | WholeTileRegNSGraph:
    """Of a screening recipe's run a Reg-NS that sees a tile at once; of a cascade recipe's run one that sees each sub-tile.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    ValueError
        If it is of another kind of recipe.
    """
    recipe, model = load_run(run)
    if isinstance(model, WholeTileRegNS):
        return WholeTileRegNSGraph(model)
    if isinstance(model, CascadeNet) and model.regns is not None:
        return RegNSGraph(model.trunk, model.regns)
    what = "Det alone" if isinstance(model, CascadeNet) else f"a {recipe.kind} recipe"
    raise ValueError(f"{run} is a run of {what}, which has no Reg-NS; give the run of a screening recipe")


def det_graph(run: Path) -> DetGraph:
    """Of a cascade recipe's run; raises as `regns_graph` does."""
    model = _loaded(run, CascadeNet)
    return DetGraph(model.trunk, model.det)


def verifier_graph(runs: Sequence[Path]) -> VerifierGraph:
    """One graph of all verifier recipes' runs; raises as `regns_graph` does, and `ValueError` where their windows differ."""
    return VerifierGraph([_loaded(run, Verifier) for run in runs])


def _loaded(run: Path, kind: type[_Model]) -> _Model:
    recipe, model = load_run(run)
    if not isinstance(model, kind):
        raise ValueError(f"{run} is a run of a {recipe.kind} recipe, not of a {kind.__name__}")
    return model
