"""Options that several commands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from training.recipes.registry import Start

F = TypeVar("F", bound=Callable[..., Any])

A_PATH = click.Path(path_type=Path)
SHARE = click.FloatRange(0, 1, max_open=True)


class WithLists(click.Command):
    """A command whose options that may be repeated also take several words at once: `--screening 0.1 0.2`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See Click; `--option a b` becomes `--option a --option b`."""
        lists = {name for p in self.params if isinstance(p, click.Option) and p.multiple for name in p.opts}
        return super().parse_args(ctx, _expand_repeated(args, lists))


def _expand_repeated(args: Sequence[str], lists: set[str]) -> list[str]:
    result: list[str] = []
    option: str | None = None
    for word in args:
        if word.startswith("-"):
            option = word if word in lists else None
            if option is None:
                result.append(word)
        elif option is None:
            result.append(word)
        else:
            result += [option, word]
    return result


def data_option(what: str) -> Callable[[F], F]:
    """`--data`: one store or several."""
    return click.option(
        "--data",
        type=A_PATH,
        multiple=True,
        required=True,
        help=f"store.json that `import` wrote, one or several: {what}",
    )


def keep_option(command: F) -> F:
    """`--keep`: released models of other versions than the one that a command is given; see `find_kept_versions`."""
    return click.option(
        "--keep",
        multiple=True,
        metavar="NAME=VERSION",
        help="another version of one of the models: reg-ns=1.3.0; repeatable",
    )(command)


def runs_options(command: F) -> F:
    """`--regns`, `--det` and `--verifier`: runs that a cascade's models are made of."""
    for option in (
        click.option(
            "--verifier", type=A_PATH, multiple=True, help="run of a verifier recipe; several answer together"
        ),
        click.option("--det", type=A_PATH, help="run of a cascade recipe"),
        click.option("--regns", type=A_PATH, help="run of a screening or a cascade recipe"),
    ):
        command = option(command)
    return command


def init_option(otherwise: str) -> Callable[[F], F]:
    """`--init`. otherwise : what happens without it, in words."""
    return click.option(
        "--init",
        multiple=True,
        metavar="SOURCE [FILE]",
        help="initial weights: `imagenet FILE` (of the trunk; behind the file of a ResNet50 that does not state it, v1 or v1.5), "
        f"`torchvision` (downloads), `none` (random) or `reg RUN` (the backbone of a Reg run); otherwise {otherwise}",
    )


def read_init(words: Sequence[str]) -> tuple[str | None, Start]:
    """What the words after `--init` mean: initial weights as `models.initial.initialise` takes them, and what to start from.

    Raises
    ------
    ValueError
        If they are none of the forms.
    """
    match list(words):
        case []:
            return None, Start()
        case ["torchvision" | "none" as source]:
            return source, Start()
        case ["imagenet", file]:
            return file, Start()
        case ["imagenet", file, "v1" | "v1.5" as strides]:
            return f"{file} {strides}", Start()
        case ["reg", run]:
            return "reg", Start(reg=Path(run) / "model.pt")
    raise ValueError(f"--init {' '.join(words)}: give imagenet FILE, torchvision, none or reg RUN")
