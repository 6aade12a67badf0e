"""Score a slide on a server: `python examples/score_on_server.py http://localhost:3000 slide.svs map.png`.

The API key is read from MITOSIS_KEY.
"""

import sys
from pathlib import Path

import mitoserve


def main(address: str, slide: Path, picture: Path, key: str | None = None) -> mitoserve.Report:
    """Upload a slide, wait for its analysis, and download the mitosis map and the report."""
    with mitoserve.Client(address, key=key) as server:
        uploaded = server.upload(slide)
        analysis = server.wait(server.start(uploaded, mpp=0.25))
        server.download(analysis, "png", picture)
        report = mitoserve.Report.model_validate_json(server.fetch(analysis, "report"))
    print(f"{report.slide.name}: {report.counts.mitotic_figures} mitotic figures, map in {picture}")
    return report


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
