"""`train`: one model class of the study on a store of labelled pictures."""

import argparse
from pathlib import Path

from training.cli.arguments import add_init, read_init, share


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "train",
        help="train one of the seven model classes of Ji et al. on a store",
        description="A run that was stopped goes on from its checkpoint when the same command is given again. "
        "`torchrun --nproc-per-node N -m training train ...` trains on N GPUs or CPU processes.",
    )
    parser.add_argument("model", help="BC, Reg, Reg-NS, Det, Det-NS, Det-WL or Det-NS-WL")
    parser.add_argument("--data", type=Path, required=True, help="store.json that `import` wrote")
    parser.add_argument("--preset", choices=("paper", "default"), default="default", help="recipe to start from")
    parser.add_argument("--overrides", type=Path, help="TOML file of changes to the recipe's fields")
    parser.add_argument("--start", type=Path, help="model.pt of a run to fine-tune; size and backbone are that run's")
    parser.add_argument(
        "--validation", type=share, default=0.15, help="share of the patients to validate on; 0 for none"
    )
    parser.add_argument("--test", type=share, default=0.0, help="share of the patients that are left alone")
    parser.add_argument("--test-patients", nargs="*", default=[], help="these are left alone, instead of a share")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, weights and logs")
    add_init(parser, otherwise="torchvision's")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    from training.engine.distributed import joined  # noqa: PLC0415
    from training.recipes.runs import RunRequest, train_run  # noqa: PLC0415

    request = RunRequest(
        args.model,
        args.data,
        args.preset,
        overrides=args.overrides,
        initial=read_init(args.init),
        start=args.start,
        validation=args.validation,
        test=args.test,
        test_patients=tuple(args.test_patients),
    )
    with joined() as process:
        train_run(request, args.out, process)
