"""Arguments that several commands share."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Initial:
    """What `--init` states: a source as `models.initial.initialise` takes it, and the run whose backbone "reg" means."""

    source: str
    reg_run: Path | None = None


def add_init(parser: argparse.ArgumentParser, *, otherwise: str) -> None:
    """Add `--init`. otherwise : what happens without it, in words"""
    parser.add_argument(
        "--init",
        nargs="+",
        metavar=("SOURCE", "FILE"),
        help="initial weights: `imagenet FILE` (safetensors of ResNet50 v1), `torchvision` (downloads), `none` (random) "
        f"or `reg RUN` (the backbone of a Reg run); otherwise {otherwise}",
    )


def read_init(words: list[str] | None) -> Initial | None:
    """What the words after `--init` mean; None of none.

    Raises
    ------
    ValueError
        If they are none of the four forms.
    """
    match words:
        case None:
            return None
        case ["torchvision" | "none" as source]:
            return Initial(source)
        case ["imagenet", file]:
            return Initial(file)
        case ["reg", run]:
            return Initial("reg", Path(run) / "model.pt")
    raise ValueError(f"--init {' '.join(words)}: give imagenet FILE, torchvision, none or reg RUN")


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add what every program of an experiment file takes."""
    parser.add_argument("experiment", type=Path, help="TOML file, see training/recipes")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, weights and log")
    add_held_out_cases(parser)


def add_beginning(parser: argparse.ArgumentParser) -> None:
    """Add what `beginning.Beginning` is made of, but for `add_held_out_cases`."""
    parser.add_argument("--hold-out", nargs="*", default=[], help="slides kept out of training, e.g. A00")
    parser.add_argument("--imagenet", type=Path, help="safetensors file of ResNet50 v1 under torchvision's names")
    parser.add_argument("--start", type=Path, help="model.pt of a run to start from")


def add_held_out_cases(parser: argparse.ArgumentParser) -> None:
    """Add `--hold-out-cases`, which `held-out-crops` takes too."""
    parser.add_argument(
        "--hold-out-cases",
        metavar="SHARE",
        type=share,
        default=0.0,
        help="share of the crops' cases, chosen by name, to keep out of training, with all crops of unknown cases",
    )


def share(text: str) -> float:
    """A number from 0 up to, not including, 1, for argparse."""
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to below 1")
    return value
