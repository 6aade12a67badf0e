"""Command line options of how a slide is scored, which `score` and `cohort score` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from serving.cli_counting import counting_options
from serving.report import QualityUse
from serving.scoring.analysis import CountingOptions, Options
from serving.scoring.counting import check_counting
from serving.wsi.errors import RequestError
from serving.wsi.pixelsize import parse_mpp


class _MppType(click.ParamType[Any]):
    """One number, or one for each axis."""

    name = "UM[,UM]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        try:
            return parse_mpp(value) if isinstance(value, str) else value
        except RequestError as error:
            self.fail(str(error), param, ctx)


MPP = _MppType()

_OPTIONS = (
    click.option("--mpp", type=MPP, help="Microns per level-0 px, in place of what the slide states; 0.25,0.5 for x and y."),
    click.option("--threshold", type=click.FloatRange(0, 1), help="Detection probability, in place of the model card's."),
    click.option(
        "--cascade", type=click.Choice(["on", "off"]), default="on", show_default=True, help="off: Det everywhere."
    ),
    click.option(
        "--min-tissue", "min_tissue_fraction", default=Options().min_tissue_fraction, show_default=True, type=click.FloatRange(0, 1),
        help="Tiles with a smaller share of tissue are not scored.",
    ),
    click.option(
        "--qc", type=click.Choice(get_args(QualityUse)), default=Options().qc, show_default=True,
        help="Ink, bubbles, folds and blur: state their area, leave them out of all counts too, or do not look for them.",
    ),
    counting_options,
    click.option("--models", type=click.Path(path_type=Path), help="Models folder, in place of MITOSIS_MODELS."),
    click.option(
        "--provider",
        multiple=True,
        help="ONNX Runtime execution provider, repeat in order of preference; or CPU-int8, OpenVINO, OpenVINO-bf16, CUDA-fp16.",
    ),
)  # fmt: skip


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the options that `options_of` takes, and with `models` and `provider`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def options_of(
    *,
    mpp: float | tuple[float, float] | None,
    threshold: float | None,
    cascade: str,
    min_tissue_fraction: float,
    qc: QualityUse,
    **counting: Any,
) -> Options:
    """What the command line asks of an analysis, but for a region.

    Raises
    ------
    RequestError
        If how figures are counted contradicts itself.
    """
    options = Options(
        mpp=mpp,
        threshold=threshold,
        cascade=cascade == "on",
        min_tissue_fraction=min_tissue_fraction,
        counting=CountingOptions(**counting),
        qc=qc,
    )
    check_counting(options.counting)
    return options
