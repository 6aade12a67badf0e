import csv
import io

from serving.exports.tiles_csv import to_csv
from serving.scoring.analysis import Analysis


def test_it_parses_and_agrees_with_the_report(analysis: Analysis) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(analysis).decode())))
    tiles = analysis.report.tiles
    assert len(rows) == len(tiles) == 6
    for row, tile in zip(rows, tiles, strict=True):
        assert [int(row[k]) for k in ("x", "y", "width", "height")] == [tile.x, tile.y, tile.width, tile.height]
        assert float(row["tissue_fraction"]) == tile.tissue_fraction
        assert float(row["max_score"]) == tile.max_score
        assert int(row["mitotic_count"]) == tile.mitotic_count
        for r, line in enumerate(tile.scores):
            for c, score in enumerate(line):
                text = row[f"score_{r}_{c}"]
                assert (None if text == "" else float(text)) == score
    assert any(value == "" for row in rows for value in row.values())
    assert sum(int(row["mitotic_count"]) for row in rows) == analysis.report.counts.mitotic_figures
