"""`release`: ship the cascade."""

import argparse
from pathlib import Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "release", help="export runs of `fit`, `fit-verifier` and `fit-screening` to models/<name>/<version>"
    )
    parser.add_argument("weights", type=Path, help="model.pt of the run to ship")
    parser.add_argument(
        "--verifier", type=Path, action="append", required=True, help="model.pt of the verifier; repeatable"
    )
    parser.add_argument("--screener", type=Path, help="model.pt of `fit-screening`, where it was judged with one")
    parser.add_argument("--evaluation", type=Path, required=True, help="JSON file of leave-one-slide-out")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--version", required=True, help="semantic version, e.g. 1.0.0")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.export.release import release  # noqa: PLC0415

    release(
        args.weights,
        args.verifier,
        args.evaluation,
        screener=args.screener,
        models=args.models,
        version=args.version,
    )
