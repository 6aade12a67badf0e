"""Mitoserve's whole pipeline with a models folder: tissue, quality, reading, models, counts, the report as JSON."""

from pathlib import Path

from benchmarks.peers.runners.job import RunnerJob, WorkTimer, write_result
from serving.core.options import ScoringOptions
from serving.exports import EXPORTS
from serving.scoring.loading import load_detector
from serving.scoring.pipeline import score_slide
from serving.scoring.reviewed import find_centres
from serving.slides.opening import open_slide


def main() -> None:
    """Score one slide. model : models folder. settings : `provider`, and `cascade` where it is not exact."""
    job, work = RunnerJob.read(), WorkTimer()
    with work.timing():
        detector = load_detector(Path(job.model), providers=[job.settings["provider"]])
        with open_slide(Path(job.slide)) as slide:
            analysis = score_slide(slide, detector, ScoringOptions(cascade=job.settings.get("cascade", "exact")))
        export = EXPORTS["report"]
        (Path(job.out) / export.file_name).write_bytes(export.render(analysis))
    found = analysis.report.detections
    points = [(round(x), round(y), one.probability) for (x, y), one in zip(find_centres(found), found, strict=True)]
    write_result(job, work, points, ["numpy", "onnxruntime-gpu", "openslide-bin", "simplejpeg"])


if __name__ == "__main__":
    main()
