"""Fields with known detections, and a summary of generated ones."""

from collections.abc import Sequence

import numpy as np

from serving.evaluation.metrics import FieldDetections
from training.evaluation.detection_ap import ImageBoxes
from training.evaluation.lattice import LatticeScores
from training.evaluation.measure import evaluate_found
from training.evaluation.summary import DataDescription, EvaluationSummary, ModelVersion

MPP = 0.25
RADIUS_PX = 30
"""7.5 um at 0.25 um/px."""
DATA = DataDescription(name="generated", description="dots", labels="planted", seen_in_training="nothing")
DET = ModelVersion(name="det", version="1.2.3", sha256="0" * 64)


def field(
    detections: Sequence[tuple[float, float, float]],
    truth: Sequence[tuple[float, float]],
    *,
    slide: str = "A",
    name: str = "f",
) -> FieldDetections:
    """A field of detections (x, y, probability) and true centres (x, y), px."""
    rows = np.asarray(detections, np.float32).reshape(-1, 3)
    true = np.asarray(truth, np.float32).reshape(-1, 2)
    return FieldDetections(name, slide, MPP, rows[:, :2], rows[:, 2], rows[:, 2], true)


def generate(slides: int = 4, fields: int = 3) -> list[FieldDetections]:
    """Fields with most figures found and some false detections; the first field of each slide is free of figures."""
    rng = np.random.default_rng(3)
    found = []
    for slide in range(slides):
        for number in range(fields):
            truth = rng.uniform(0, 2000, (5 if number else 0, 2))
            hits = [(x + 2, y, p) for (x, y), p in zip(truth, rng.uniform(0.4, 1, len(truth)), strict=True)]
            false = [(x, y, p) for x, y, p in rng.uniform((0, 0, 0.02), (2000, 2000, 0.7), (6, 3))]
            found.append(field([*hits[:4], *false], truth.tolist(), slide=f"slide {slide}", name=f"f{number}"))
    return found


def make_summary(
    found: Sequence[FieldDetections], *, title: str = "Evaluation", models: Sequence[ModelVersion] = (DET,)
) -> EvaluationSummary:
    """A summary with all of its parts."""
    rng = np.random.default_rng(5)
    positives = rng.random(500) < 0.2
    scores = (rng.normal(0.1, 0.1, 500) + 0.4 * positives).astype(np.float32)
    images = [ImageBoxes(_boxes(f.centres), f.probabilities, _boxes(f.truth)) for f in found]
    return evaluate_found(
        found,
        LatticeScores(scores, positives, np.repeat([f"slide {i}" for i in range(4)], 125)),
        areas_mm2=[0.25] * len(found),
        threshold=0.5,
        how_chosen="given",
        data=DATA,
        models=models,
        title=title,
        images=images,
        limits=["Generated."],
        draws=200,
    )


def _boxes(centres: np.ndarray) -> np.ndarray:
    return np.hstack([centres - np.float32(15), centres + np.float32(15)])
