"""Crops of mitotic figures whose experts say whether the figure is normal or atypical."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.datasets.pictures import has_padding
from serving.datasets.store import Picture
from training.data.candidates import LABELS, LabelledPlaces, is_small
from training.data.combined_stores import find_store_name
from training.data.fields import read_field

KINDS_OF_FIGURE = ("normal", "atypical")
_ATYPICAL_WORDS = ("amf", "atypical")
"""How an expert's word begins: AMi-Br writes "AMF multipolar", AtNorm-MD "atypical"."""


def read_figure_kinds(pictures: Sequence[Picture], root: Path) -> LabelledPlaces:
    """The middles of crops, labelled normal or atypical; `soft` is the share of the experts who say atypical.

    Where no expert's word is known, `soft` is 1 or 0 by the verdict of the source (attribute `kind`). Pictures that are no crops,
    or state no verdict, are passed over.

    Raises
    ------
    ValueError
        If no picture states a verdict.
    """
    fields, labels, shares, centres, stores, slides = [], [], [], [], [], []
    for picture in pictures:
        kind = picture.attributes.get("kind")
        if kind not in KINDS_OF_FIGURE or not picture.labelled or not is_small(picture):
            continue
        field = read_field(picture, root)
        if has_padding(field.pixels):
            continue
        fields.append(field)
        labels.append(LABELS.index(f"{kind} figure"))
        shares.append(find_expert_share(picture))
        centres.append((picture.width / 2, picture.height / 2))
        stores.append(find_store_name(picture))
        slides.append(picture.slide)
    if not fields:
        raise ValueError(f"none of {len(pictures)} pictures says whether its figure is normal or atypical")
    return LabelledPlaces(
        tuple(fields),
        np.arange(len(fields), dtype=np.int32),
        np.asarray(centres, np.float32),
        np.asarray(labels, np.int8),
        np.asarray(shares, np.float32),
        np.asarray(stores),
        np.asarray(slides),
        np.ones(len(fields), np.bool_),
    )


def find_expert_share(picture: Picture) -> float:
    """Share of the experts who call a crop's figure atypical, 0 to 1; of the verdict where no expert's word is known.

    AMi-Br states two experts' words and the verdict of three: a third expert agrees with whom the verdict is.
    """
    words = [word.lower() for name, word in picture.attributes.items() if name.startswith("expert ")]
    votes = [float(word.startswith(_ATYPICAL_WORDS)) for word in words]
    verdict = float(picture.attributes.get("kind") == "atypical")
    if not votes:
        return verdict
    if len(votes) == 2 and not math.isclose(votes[0], votes[1]):
        votes.append(verdict)
    return sum(votes) / len(votes)
