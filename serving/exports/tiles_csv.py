"""tiles.csv."""

import csv
import io

from serving.exports.export import EXPORTS, Export, whole
from serving.exports.figures import count_shown_by_tile
from serving.scoring.analysis import Analysis

SIDE = 7
"""Sub-tiles along a tile's side."""


def to_csv(analysis: Analysis) -> bytes:
    """A line a scored tile, level-0 px; `score_r_c` is the sub-tile in row r and column c, empty outside the slide.

    `mitotic_count` is the model's; after review there is `after_review` beside it. Of a fast analysis `triage_r_c` is what the light net
    says of a sub-tile at which it alone looked, and `score_r_c` is empty there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scores = [f"score_{row}_{column}" for row in range(SIDE) for column in range(SIDE)]
    reviewed = count_shown_by_tile(analysis)
    more = [] if reviewed is None else ["after_review"]
    if any(tile.triage is not None for tile in analysis.report.tiles):
        more += [name.replace("score", "triage") for name in scores]
    writer.writerow(["x", "y", "width", "height", "tissue_fraction", "max_score", "mitotic_count", *scores, *more])
    for i, t in enumerate(analysis.report.tiles):
        values = [score for row in t.scores for score in row]
        values += [] if reviewed is None else [reviewed[i]]
        values += [] if t.triage is None else [probability for row in t.triage for probability in row]
        writer.writerow([t.x, t.y, t.width, t.height, t.tissue_fraction, t.max_score, t.mitotic_count, *values])
    return text.getvalue().encode()


EXPORTS.add("csv", Export("tiles.csv", "csv", "text/csv", whole(to_csv), usual=True, shows_review=True, rank=2))
