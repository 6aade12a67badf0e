"""Command line options of how a slide is scored, which `score` and `cohort score` share: those of `ScoringOptions`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from serving.cli.outline_files import read_outlines
from serving.core.errors import RequestError
from serving.core.options import CountingOptions, ScoringOptions, Stated, find_stated, flat_fields, from_stated
from serving.core.words import as_options


class _Parsed(click.ParamType[Any]):
    """A text that the option itself understands."""

    name = "TEXT"

    def __init__(self, stated: Stated) -> None:
        self._parse = stated.parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            self._parse(value)
        except RequestError as error:
            self.fail(as_options(str(error), [] if param is None else param.opts), param, ctx)
        return value


_MODEL_OPTIONS = (
    click.option("--models", type=click.Path(path_type=Path), help="Models folder, in place of MITOSIS_MODELS."),
    click.option(
        "--provider",
        multiple=True,
        help="ONNX Runtime execution provider, repeat in order of preference; or CPU-int8, OpenVINO, OpenVINO-bf16, CUDA-fp16.",
    ),
)


def scoring_options(*, without: Collection[str] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the command has the options that `parse_options` takes, and `models` and `provider`.

    without : fields of the scoring's options that the command states elsewhere
    """
    return _decorate(ScoringOptions, without, _MODEL_OPTIONS)


def counting_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the command has the options of how figures are counted."""
    return _decorate(CountingOptions, (), ())


def _decorate(
    options: type[BaseModel], without: Collection[str], more: Sequence[Callable[[Any], Any]]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """More : further options, last in the help."""
    fields = dict(flat_fields(options))
    names = {name: find_stated(info).option or f"--{name.replace('_', '-')}" for name, info in fields.items()}
    made = [
        _option(name, info, names)
        for name, info in fields.items()
        if name not in without and not find_stated(info).server
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed((*made, *more)):
            command = option(command)
        return command

    return decorate


MASK_MPP = click.option(
    "--mask-mpp",
    type=click.FloatRange(min=0, min_open=True),
    help="um per px of mask pictures that state regions, where their files do not say.",
)
"""Of commands that take regions."""


def parse_options(stated: dict[str, Any]) -> ScoringOptions:
    """What the command line asks of an analysis, by the names of the scoring's options; files were read.

    Raises
    ------
    RequestError
        If how figures are counted contradicts itself.
    """
    return from_stated(ScoringOptions, stated)


def read_files(stated: dict[str, Any], *, mask_mpp: float | None = None) -> dict[str, Any]:
    """The same options with what their files state in place of the paths.

    Raises
    ------
    MitoserveError, OSError
        If a file does not state regions.
    """
    names = {name for name, info in flat_fields(ScoringOptions) if find_stated(info).file}
    return {
        name: read_outlines(value, mask_mpp=mask_mpp).as_geojson() if name in names and value is not None else value
        for name, value in stated.items()
    }


def _option(name: str, info: FieldInfo, names: Mapping[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """One option. names : of all options on the command line, by field."""
    stated = find_stated(info)
    default = info.default if stated.form is None else stated.default
    return click.option(
        names[name],
        name,
        type=_find_type(info, stated),
        default=default,
        show_default=default is not None,
        # Backticks mark fields and values in descriptions; a terminal shows them as they are.
        help=as_options(info.description or "", list(names.values())).replace("`", ""),
    )


def _find_type(info: FieldInfo, stated: Stated) -> click.ParamType[Any]:
    form = info.annotation if stated.form is None else stated.form
    if stated.file:
        return click.Path(exists=True, dir_okay=False, path_type=Path)
    if get_origin(form) is Literal:
        return click.Choice(get_args(form))
    if stated.choices:
        return click.Choice(stated.choices)
    if stated.form is not None:
        return _Parsed(stated)
    low, high = (next((getattr(one, end) for one in info.metadata if hasattr(one, end)), None) for end in ("ge", "le"))
    return click.IntRange(low, high) if form is int else click.FloatRange(low, high)
