"""Short words for label records in tests."""

from serving.datasets.store import Box
from training.labels.records import BoxesRecord, Group


def looks(*drawn: list[Box], group: Group = "crowd", tile: str = "a") -> list[BoxesRecord]:
    """A record of each labeler L0, L1, ... with the boxes that they drew."""
    return [
        BoxesRecord(tile=tile, labeler=f"L{number}", group=group, boxes=tuple(boxes))
        for number, boxes in enumerate(drawn)
    ]
