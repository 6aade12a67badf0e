"""Dark nuclei as the candidates of a fold: a verifier is judged in minutes, without Reg-NS and Det."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from serving.datasets.store import Dataset, Picture
from training.data.candidates import LABELS, LabelledPlaces, find_nuclei
from training.data.fields import Field, read_field
from training.data.verifier_windows import Draw, VerifierWindows
from training.evaluation.fold_detections import FoldDetections, PictureDetections, check_judged
from training.recipes.verifier import VerifierRecipe, predict_probabilities

_UM2_PER_MM2 = 1e6
_OTHER = LABELS.index("other")


def propose_nuclei(
    recipe: VerifierRecipe,
    model: nn.Module,
    stores: Sequence[Dataset],
    patients: Iterable[str],
    *,
    per_mm2: float,
    lowest: float,
    fold: str,
    seen: Iterable[str],
    say: Callable[[str], None] = print,
) -> FoldDetections:
    """The darkest nuclei of the labelled pictures of patients, those that a verifier does not rule out.

    Labels play no part in where they are. Another verifier's word on them is `verify_fold`'s.

    Parameters
    ----------
    recipe, model : of a finished run of a verifier recipe; see `load_run`
    per_mm2 : nuclei looked at, per mm2 of picture
    lowest : probability below which a nucleus is left out
    seen : patients that took any part in the weights

    Raises
    ------
    ValueError
        If the weights saw one of the patients, or a patient has no labelled picture, or one that states no resolution.
    MitoserveError
        If a picture does not open.
    """
    wanted = set(patients)
    result = FoldDetections(
        fold=fold,
        seen=sorted(set(seen)),
        models=[f"{per_mm2:g} darkest nuclei per mm2 from probability {lowest:g} of a verifier on"],
        pictures=[],
    )
    check_judged(result, stores, wanted)
    model.to(memory_format=torch.channels_last)
    for store in stores:
        for picture in (p for p in store if p.labelled and p.patient in wanted):
            if picture.mpp is None:
                raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
            area = picture.width * picture.height * picture.mpp**2 / _UM2_PER_MM2
            places = _nuclei(store.name, picture, read_field(picture, Path(store.root)), math.ceil(per_mm2 * area))
            said = _ask(recipe, model, places)
            kept = said >= lowest
            rows = [(float(x), float(y), float(p)) for (x, y), p in zip(places.centre[kept], said[kept], strict=True)]
            result.pictures.append(PictureDetections(dataset=store.name, picture=picture.id, detections=rows))
            say(f"{picture.id}: {len(rows)} of {len(places)} nuclei, {len(picture.boxes())} figures")
    return result


def _nuclei(store: str, picture: Picture, field: Field, most: int) -> LabelledPlaces:
    """The darkest nuclei of a picture, whatever its labels say."""
    centre = find_nuclei(field.pixels, most) + np.float32(0.5)  # a spot is a pixel's middle
    count = len(centre)
    return LabelledPlaces(
        fields=(field,),
        field=np.zeros(count, np.int32),
        centre=centre,
        label=np.full(count, _OTHER, np.int8),
        soft=np.zeros(count, np.float32),
        store=np.full(count, store),
        slide=np.full(count, picture.slide),
        crop=np.zeros(count, np.bool_),
    )


def _ask(recipe: VerifierRecipe, model: nn.Module, places: LabelledPlaces) -> NDArray[np.float64]:
    """The verifier's probability of each place, one view, float64, (N,)."""
    if not len(places):
        return np.zeros(0)
    windows = VerifierWindows(places, (Draw(label="other", count=1),), recipe.classes, recipe.geometry)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        said = predict_probabilities(model, windows, np.arange(len(places)))
    return said.double().numpy()
