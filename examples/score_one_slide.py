"""Score one slide: `python examples/score_one_slide.py slide.svs results`."""

import sys
from pathlib import Path

import mitoserve


def main(slide: Path, out: Path, models: Path | None = None) -> mitoserve.Report:
    """Score a slide, write the usual exports to `out` and print the count."""
    report = mitoserve.score(slide, models=models, out=out)
    print(f"{report.slide.name}: {report.counts.mitotic_figures} mitotic figures, files in {out}")
    return report


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
