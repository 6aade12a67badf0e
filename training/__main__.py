"""`python -m training`: label, train, judge and release the models that Mitoserve serves."""

import argparse
import pkgutil
import sys
from importlib import import_module

from serving.wsi.errors import MitoserveError
from serving.wsi.modelcard import RESEARCH_USE
from training import cli


def main() -> None:
    """Run the command that the arguments name."""
    args = _parser().parse_args()
    try:
        args.run(args)
    except (OSError, ValueError, FloatingPointError, MitoserveError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__, epilog=RESEARCH_USE)
    subparsers = parser.add_subparsers(dest="command", required=True)
    # Command modules import torch when they run: `--help` stays quick.
    for module in pkgutil.iter_modules(cli.__path__):
        if module.name != "arguments":
            import_module(f"{cli.__name__}.{module.name}").add_parser(subparsers)
    return parser


if __name__ == "__main__":
    main()
