"""`detect-fold`: what a cascade finds in the pictures of held-out patients, for `cross-validate`."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "detect-fold",
        help="detections of a cascade in the pictures of held-out patients, for `cross-validate`",
        description="Scores whole pictures by the very code that serves, without the cards' calibration. Refuses patients that the "
        "weights saw.",
    )
    parser.add_argument("models", type=Path, help="folder of <name>/<version>/card.json")
    parser.add_argument("--version", required=True, help="of the models")
    parser.add_argument("--data", type=Path, action="append", required=True, help="store.json; repeatable")
    parser.add_argument("--patient", action="append", required=True, help="to judge; repeatable, e.g. mitos/03")
    parser.add_argument(
        "--run-folder",
        type=Path,
        action="append",
        required=True,
        help="run of the weights, which states whom it saw; repeatable",
    )
    parser.add_argument("--fold", help="name of the fold; by default the patients")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="execution provider")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the detections")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from serving.scoring.onnx_detector import load_cascade  # noqa: PLC0415
    from training.data.store import read_store  # noqa: PLC0415
    from training.evaluation.cascade_figures import version_folders  # noqa: PLC0415
    from training.evaluation.detecting import detect_fold, patients_seen, without_calibration  # noqa: PLC0415

    seen: frozenset[str] = frozenset[str]().union(*(patients_seen(run) for run in args.run_folder))
    detector = load_cascade(version_folders(args.models, args.version), providers=[args.provider])
    found = detect_fold(
        without_calibration(detector),
        [read_store(path) for path in args.data],
        args.patient,
        fold=args.fold or "+".join(sorted(args.patient)),
        seen=seen,
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(found.model_dump_json() + "\n", "utf-8")
    print(f"{args.out}: {len(found.pictures)} pictures. {found.research_use}")
