"""What faster arithmetic costs in accuracy: `python -m benchmarks.rounding [CPU-int8 OpenVINO ...] [--everywhere] [--fields 9]`.

Scores the labelled fields of `MITOSIS_DATA`, each by every provider in turn, the exact one first. Prints how far scores move,
what precision, recall and F1 become at the released threshold and at the best one, and the processor time over the exact one's.
`--everywhere` adds the exact models without screening: what the cascade saves, and which true figures it costs.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from benchmarks.processor import processor_s
from serving.scoring.detector import Detector, cards_of, counting_threshold
from serving.scoring.onnx_detector import CPU, load_detector
from serving.settings import default_models
from training.datasets.icpr2012 import read_fields
from training.datasets.root import data_root
from training.evaluate import score_field
from training.metrics import Found, average_precision, best_threshold, rates

EVERYWHERE = "Det everywhere"


@dataclass(slots=True)
class Outcome:
    """What one way of computing gave."""

    found: list[Found] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    processor_s: float = 0.0


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("providers", nargs="*", default=["CPU-int8"])
    parser.add_argument("--everywhere", action="store_true")
    parser.add_argument("--fields", type=int, default=9)
    stated = parser.parse_args()
    ways: dict[str, tuple[Detector, bool]] = {
        name: (load_detector(default_models(), providers=[name]), True) for name in (CPU, *stated.providers)
    }
    if stated.everywhere:
        ways[EVERYWHERE] = (ways[CPU][0], False)
    outcomes: defaultdict[str, Outcome] = defaultdict(Outcome)
    for picture in read_fields(data_root())[: stated.fields]:
        for name, (detector, cascade) in ways.items():
            outcome, used = outcomes[name], processor_s()
            found, lattice = score_field(detector, picture, cascade=cascade)
            outcome.processor_s += processor_s() - used
            outcome.found.append(found)
            outcome.scores.append(lattice.scores)
        print(f"{picture.name} scored", flush=True)
    threshold = counting_threshold(cards_of(ways[CPU][0]))
    for name, outcome in outcomes.items():
        _print(name, outcome, outcomes[CPU], threshold)


def _print(name: str, outcome: Outcome, exact: Outcome, threshold: float) -> None:
    at_card, best = rates(outcome.found, threshold), best_threshold(outcome.found)
    print(
        f"{name}: {outcome.processor_s:.0f} processor s, exact / this {exact.processor_s / outcome.processor_s:.2f}\n"
        f"  at {threshold:.3f}: precision {at_card.precision:.3f}, recall {at_card.recall:.3f}, F1 {at_card.f1:.3f}; "
        f"F1 {rates(outcome.found, best).f1:.3f} at {best:.3f}; average precision {average_precision(outcome.found):.3f}\n"
        f"  of {at_card.true_positives} true positives {_shared(outcome, exact, threshold)} are the exact one's too"
    )
    ours, theirs = (np.concatenate([s.ravel() for s in o.scores]) for o in (outcome, exact))
    seen = np.isfinite(theirs)
    apart, spread = np.abs(ours - theirs)[seen], theirs[seen].std()
    print(
        f"  scores, of their spread {spread:.3f}: mean {apart.mean() / spread:.4f}, largest {apart.max() / spread:.3f}"
    )


def _shared(outcome: Outcome, exact: Outcome, threshold: float) -> int:
    """Labelled figures that both find."""
    return sum(len(_hit(a, threshold) & _hit(b, threshold)) for a, b in zip(outcome.found, exact.found, strict=True))


def _hit(found: Found, threshold: float) -> set[int]:
    """Labelled figures with a detection, each the nearest of its match."""
    centres = found.centres[found.true_positives(threshold)]
    return {int(np.linalg.norm(found.truth - centre, axis=1).argmin()) for centre in centres}


if __name__ == "__main__":
    main()
