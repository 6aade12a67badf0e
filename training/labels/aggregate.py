"""From label records of many tiles to a data set that training takes."""

from collections import defaultdict
from collections.abc import Sequence

from training.data.store import Dataset
from training.labels.consensus import Rule, label_tile
from training.labels.records import BoxesRecord, Record


def aggregate(tiles: Dataset, records: Sequence[Record], rule: Rule) -> Dataset:
    """The tiles with the figures that the rule's group agrees on; tiles that too few reviewed become unlabelled.

    Raises
    ------
    ValueError
        If no record holds boxes of that group on these tiles.
    """
    looks = defaultdict(list)
    for record in records:
        if isinstance(record, BoxesRecord) and record.group == rule.group:
            looks[record.tile].append(record)
    if not any(tile.id in looks for tile in tiles.pictures):
        raise ValueError(f"none of {len(records)} records holds boxes of the {rule.group} on these tiles")
    return tiles.model_copy(
        update={"pictures": tuple(label_tile(tile, looks[tile.id], rule) for tile in tiles.pictures)}
    )


def summary_lines(dataset: Dataset) -> list[str]:
    """What an aggregated data set holds, as the paper's Table 2 and Section 4.1 count it, a line each."""
    reviewed = [p for p in dataset.pictures if p.labelled]
    figures = [len(p.boxes()) for p in reviewed]
    counts = {
        "tiles": len(dataset.pictures),
        "tiles reviewed by enough labelers": len(reviewed),
        "mitotic tiles": sum(count > 0 for count in figures),
        "mitotic figures": sum(figures),
        "ambiguous areas": sum(len(p.ambiguous_areas) for p in reviewed),
        "patients": len({p.patient for p in reviewed}),
    }
    return [f"{count:9,d}  {name}" for name, count in counts.items()]
