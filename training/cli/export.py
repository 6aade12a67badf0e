"""`export`: a run of `train` as a version that serving loads."""

import argparse
from pathlib import Path

from training.cli.arguments import share


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="write a run of `train` to models/<name>/<version>: ONNX, card and parity sample",
        description="Serving takes a BC, Reg or Reg-NS under the name reg-ns, and a Det class under the name det. The "
        "threshold is chosen on the pictures that the run was validated on.",
    )
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="run of `train`")
    parser.add_argument("--data", type=Path, required=True, help="store.json that the run was trained with")
    parser.add_argument("--out", type=Path, required=True, help="models/<name>/<version>, e.g. models/det/1.2.0")
    parser.add_argument("--storage", choices=("fp32", "fp16", "int8"), default="fp32", help="how weights are stored")
    parser.add_argument(
        "--recall", type=share, default=0.95, help="share of positive sub-tiles that screening must pass"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.export.run_export import export_run  # noqa: PLC0415

    export_run(args.run_folder, args.data, args.out, storage=args.storage, recall=args.recall)
