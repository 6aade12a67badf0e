"""Detections of a fold as a file: what weights found in pictures, and which patients those weights had seen."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset, Picture
from serving.scoring.verification import pool_probabilities
from training.evaluation.judged_pictures import JudgedPicture
from training.evaluation.judgement import JudgedCascade, MadeBy, ModelName


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PictureDetections(_Part):
    """What was found in one picture."""

    dataset: str = Field(description="Name of the store.")
    picture: str = Field(description="Its id in the store.")
    detections: list[tuple[FiniteFloat, FiniteFloat, float]] = Field(
        description="x, y of each centre (level-0 px) and its probability before any calibration."
    )
    opinions: list[tuple[float, float]] = Field(
        default=[],
        description="Of each detection Det's probability and the verifier's; empty where there is no verifier.",
    )
    sub_tiles: int = Field(default=0, ge=0, description="That Reg-NS looked at; 0 where it is not stated.")
    passed: int = Field(default=0, ge=0, description="Those of them that were passed on to Det.")


class FoldDetections(_Part):
    """What the weights of one fold found."""

    schema_version: Literal["1.0"] = "1.0"
    fold: str
    seen: list[str] = Field(
        description="Patients that took any part in the weights: learnt from, validated on, or seen by weights started from."
    )
    models: list[str] = Field(default=[], description="Which weights they are, in words.")
    screening: float | None = Field(
        default=None, description="Reg-NS score from which a sub-tile was passed on to Det."
    )
    detector_share: float | None = Field(
        default=None, ge=0, le=1, description="Weight of Det's log odds beside the verifier's in the probabilities."
    )
    made_by: dict[ModelName, MadeBy] = Field(
        default={}, description="By model: `recipe` and its digest, or `weights` and the SHA-256 of a released graph."
    )
    research_use: str = RESEARCH_USE
    pictures: list[PictureDetections]


def with_share(fold: FoldDetections, share: float) -> FoldDetections:
    """The same detections with another weight of Det's word beside the verifier's.

    Raises
    ------
    ValueError
        If the file does not state what each of the two said.
    """
    pictures = []
    for found in fold.pictures:
        if len(found.opinions) != len(found.detections):
            raise ValueError(f"fold {fold.fold} does not state what Det and the verifier say of {found.picture} apart")
        said = np.asarray(found.opinions, np.float32).reshape(-1, 2)
        joint = pool_probabilities(said[:, 0], said[:, 1], share).tolist()
        rows = [(x, y, p) for (x, y, _), p in zip(found.detections, joint, strict=True)]
        pictures.append(found.model_copy(update={"detections": rows}))
    return fold.model_copy(update={"pictures": pictures, "detector_share": share})


def check_unseen(fold: FoldDetections, patients: set[str]) -> None:
    """Check that weights judge no patient that they saw, be it by a field, a frame of another scanner or a crop.

    Raises
    ------
    ValueError
        If they do; the message names the patients.
    """
    if both := sorted(patients & set(fold.seen)):
        raise ValueError(
            f"fold {fold.fold}: its weights saw patients {', '.join(both[:5])}, whose pictures they are to judge; leave all of "
            "their pictures and crops out of training, in every store"
        )


def check_judged(fold: FoldDetections, stores: Sequence[Dataset], patients: set[str]) -> None:
    """Check that weights can judge patients: they saw none of them, and each has a labelled picture.

    Raises
    ------
    ValueError
        If not; the message names the patients, or the first that is missing.
    """
    check_unseen(fold, patients)
    if missing := patients - {p.patient for store in stores for p in store if p.labelled}:
        raise ValueError(f"no store has labelled pictures of patient {sorted(missing)[0]}")


def describe_cascade(folds: Sequence[FoldDetections]) -> JudgedCascade:
    """What the files state of the cascades, which must be the same in all that state it.

    Raises
    ------
    ValueError
        If two folds state another screening threshold or share of Det's word, or a model of another recipe or other
        released weights.
    """
    screening: float | None = None
    shares = {fold.detector_share for fold in folds if fold.detector_share is not None}
    if len(shares) > 1:
        raise ValueError(
            f"Det has {' and '.join(f'{share:g}' for share in sorted(shares))} of the say in different folds"
        )
    made_by: dict[ModelName, str] = {}
    for fold in folds:
        if fold.screening is not None and screening not in (None, fold.screening):
            raise ValueError(f"fold {fold.fold} was screened at {fold.screening:g}, another at {screening:g}")
        screening = fold.screening if screening is None else screening
        for name, by in fold.made_by.items():
            if made_by.setdefault(name, by) != by:
                raise ValueError(
                    f"fold {fold.fold}: its {name} is made by {by}, that of another fold by {made_by[name]}"
                )
    words = dict.fromkeys(word for fold in folds for word in fold.models)
    share = next(iter(shares), None)
    return JudgedCascade(models=list(words), screening=screening, detector_share=share, made_by=made_by)


def pair_pictures(stores: Sequence[Dataset], folds: Sequence[FoldDetections]) -> list[JudgedPicture]:
    """The labelled pictures of all stores with their detections.

    Figures, look-alikes and ambiguous objects go by their centres. What lies where nobody looked is left out, be it labelled
    or detected.

    Raises
    ------
    ValueError
        If weights saw a patient whom they are to judge, a picture has no detections or those of two folds, there is no such
        picture, or a picture states no resolution.
    """
    pictures: dict[tuple[str, str], Picture] = {}
    for store in stores:
        for p in store:
            if pictures.setdefault((store.name, p.id), p) is not p:
                raise ValueError(f"two stores are called {store.name}; import one again with another --name")
    judged = []
    done: dict[tuple[str, str], str] = {}
    for fold in folds:
        if unknown := [d for d in fold.pictures if (d.dataset, d.picture) not in pictures]:
            raise ValueError(f"fold {fold.fold}: no store {unknown[0].dataset} has a picture {unknown[0].picture}")
        check_unseen(fold, {pictures[d.dataset, d.picture].patient for d in fold.pictures})
        for found in fold.pictures:
            key = (found.dataset, found.picture)
            if done.setdefault(key, fold.fold) != fold.fold:
                raise ValueError(f"picture {found.picture} is judged by the folds {done[key]} and {fold.fold}")
            judged.append(_judge_picture(fold.fold, found, pictures[key]))
    if missing := [key for key, p in pictures.items() if p.labelled and key not in done]:
        raise ValueError(
            f"{len(missing)} labelled pictures have no detections, {missing[0][1]} of {missing[0][0]} the first: a judgement of "
            "the others alone would not be of the data set"
        )
    return judged


def _judge_picture(fold: str, found: PictureDetections, picture: Picture) -> JudgedPicture:
    if picture.mpp is None:
        raise ValueError(f"picture {picture.id} states no resolution: import it again with --mpp or --mpp-of")
    rows = np.asarray(found.detections, np.float64).reshape(-1, 3)
    rows = rows[_is_looked_at(picture, rows[:, :2])]
    areas = np.asarray(picture.ambiguous_areas, np.float64).reshape(-1, 4)
    ambiguous = (areas[:, :2] + areas[:, 2:]) / 2
    points = {
        name: of[_is_looked_at(picture, of)]
        for name, of in (
            ("figures", picture.centres().astype(np.float64)),
            ("look_alikes", picture.centres("look-alike").astype(np.float64)),
            ("ambiguous", ambiguous),
        )
    }
    return JudgedPicture(
        name=picture.id,
        source=found.dataset,
        group=picture.patient,
        slide=picture.slide,
        fold=fold,
        area_mm2=measure_looked_at(picture, picture.mpp),
        mpp=picture.mpp,
        detections=rows[:, :2],
        scores=rows[:, 2],
        sub_tiles=found.sub_tiles,
        passed=found.passed,
        **points,
    )


def measure_looked_at(picture: Picture, mpp: float) -> float:
    """Area of a picture without what nobody looked at, to the accuracy of a raster of at most 2,000 cells a side."""
    step = max(picture.width, picture.height) / 2000
    x = np.arange(step / 2, picture.width, step) if step > 1 else np.arange(picture.width) + 0.5
    y = np.arange(step / 2, picture.height, step) if step > 1 else np.arange(picture.height) + 0.5
    seen = np.ones((len(y), len(x)), np.bool_)
    for x1, y1, x2, y2 in picture.unlabelled_areas:
        seen[np.ix_((y >= y1) & (y < y2), (x >= x1) & (x < x2))] = False
    return float(seen.mean() * picture.width * picture.height * (mpp / 1000) ** 2)


def _is_looked_at(picture: Picture, points: np.ndarray) -> np.ndarray:
    """Which points, shape (N, 2), lie where somebody looked."""
    areas = np.asarray(picture.unlabelled_areas, np.float64).reshape(-1, 4)
    x, y = points[:, :1], points[:, 1:]
    inside = (x >= areas[:, 0]) & (x < areas[:, 2]) & (y >= areas[:, 1]) & (y < areas[:, 3])
    return np.asarray(~inside.any(1), np.bool_)
