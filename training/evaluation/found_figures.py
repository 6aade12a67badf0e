"""Which labelled figures a released cascade finds where it looks everywhere."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from serving.core.words import RESEARCH_USE
from serving.datasets.store import Dataset, Picture
from serving.evaluation.metrics import rates
from serving.scoring.detector import counting_threshold, list_cards
from serving.scoring.loading import load_cascade
from training.evaluation.cascade_figures import hit_figures
from training.evaluation.served_analysis import detect_in_picture
from training.evaluation.summary import Part


class FoundPicture(Part):
    """One picture: `found` are indices of its labelled figures, in the order of the store; seconds are of the processor."""

    store: str
    picture: str
    figures: int
    found: list[int]
    false_positives: int
    processor_s: float


class FoundFigures(Part):
    """What a cascade counts in its exact mode; it may have learnt from these pictures."""

    schema_version: str = "1.0"
    models: list[str]
    provider: str
    threshold: float = Field(description="Probability of a detection that counts, of the cards.")
    pictures: list[FoundPicture]
    how: str
    research_use: str = RESEARCH_USE

    def find(self, store: Dataset, picture: Picture) -> FoundPicture | None:
        """What is known of a picture; None where it was not scored.

        Raises
        ------
        ValueError
            If it had other figures then.
        """
        known = next((p for p in self.pictures if (p.store, p.picture) == (store.name, picture.id)), None)
        if known is not None and known.figures != len(picture.boxes()):
            raise ValueError(
                f"picture {picture.id} of {store.name} had {known.figures} figures when it was scored and has {len(picture.boxes())}: "
                "run find-figures again"
            )
        return known


def find_figures(
    stores: Sequence[Dataset],
    *,
    folders: Mapping[str, Path],
    provider: str,
    every: int = 1,
    say: Callable[[str], None] = print,
) -> FoundFigures:
    """Score labelled pictures exactly.

    folders : version folders of the cascade's models, by name. every : of each patient's pictures in a store every n-th

    Raises
    ------
    ValueError
        If no picture is labelled.
    ModelError
        If a model cannot be loaded.
    """
    chosen = [(store, picture) for store in stores for picture in take_every(store, every)]
    if not chosen:
        raise ValueError("no picture of these stores is labelled")
    detector = load_cascade({name: path for name, path in folders.items() if name != "triage"}, providers=[provider])
    cards = list_cards(detector)
    threshold = counting_threshold(cards)
    pictures: list[FoundPicture] = []
    for number, (store, picture) in enumerate(chosen, 1):
        began = time.process_time()
        found = detect_in_picture(detector, picture, Path(store.root))
        seconds, counts, hits = time.process_time() - began, rates([found], threshold), hit_figures(found, threshold)
        pictures.append(
            FoundPicture(
                store=store.name,
                picture=picture.id,
                figures=len(found.truth),
                found=sorted(hits),
                false_positives=counts.false_positives,
                processor_s=round(seconds, 2),
            )
        )
        say(f"{picture.id}: {len(hits)} of {len(found.truth)} figures; {number} of {len(chosen)} pictures")
    return FoundFigures(
        models=[f"{card.name} {card.version}" for card in cards],
        provider=provider,
        threshold=threshold,
        pictures=pictures,
        how=f"{provider}; {describe_share(every)}; detections of probability {threshold:g} or more",
    )


def describe_share(every: int) -> str:
    """Which pictures `take_every` gives, in words."""
    return "all pictures" if every == 1 else f"one in {every} of the pictures of each patient and store"


def take_every(store: Dataset, every: int, seen: frozenset[str] = frozenset()) -> list[Picture]:
    """Every n-th of the labelled pictures of each patient, but of those in `seen`."""
    labelled = [p for p in store if p.labelled and p.patient not in seen]
    patients = sorted({p.patient for p in labelled})
    return [picture for patient in patients for picture in [p for p in labelled if p.patient == patient][::every]]
