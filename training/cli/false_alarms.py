"""`false-alarms`: detections of released models in tissue without figures."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "false-alarms", help="detections per mm2 in the painted ICPR 2012 fields, away from the paint"
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from serving.scoring.detector import cards_of, counting_threshold  # noqa: PLC0415
    from serving.scoring.onnx_detector import load_detector  # noqa: PLC0415
    from training.data.icpr2012 import read_painted_fields  # noqa: PLC0415
    from training.data.root import data_root  # noqa: PLC0415
    from training.evaluation.elsewhere import FalseAlarms, false_alarms  # noqa: PLC0415

    detector = load_detector(args.models)
    by_slide = false_alarms(
        detector, read_painted_fields(data_root()), threshold=counting_threshold(cards_of(detector))
    )
    together = FalseAlarms(sum(a.detections for a in by_slide.values()), sum(a.area_mm2 for a in by_slide.values()))
    for name, alarms in {**by_slide, "all": together}.items():
        low, high = alarms.interval()
        print(
            f"{name}: {alarms.per_mm2:.2f} per mm2 ({alarms.detections} in {alarms.area_mm2:.2f} mm2, "
            f"95 % interval {low:.2f} to {high:.2f})"
        )
