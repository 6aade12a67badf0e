"""The options of an analysis, as a query or as JSON, and what they ask of the scoring."""

import math
from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.requests import Request

from serving.core.errors import RequestError
from serving.core.geometry import WorkFrame
from serving.core.options import CountingOptions, ScoringOptions, from_stated, stated_fields
from serving.core.pixelsize import PixelSize

_PAIR = r"^ *[0-9.eE+-]{1,24} *, *[0-9.eE+-]{1,24} *$"
_STRICT = ConfigDict(extra="forbid", frozen=True)
_COUNTING = create_model("_COUNTING", __config__=_STRICT, **stated_fields(CountingOptions))
_ALL = create_model("_ALL", __config__=_STRICT, **stated_fields(ScoringOptions))
_ROI = ScoringOptions.model_fields["roi"].description


class AnalysisOptions(_ALL):  # type: ignore[misc, valid-type]  # its fields are those of the scoring's options
    """Options of an analysis; an unknown one is an error, so that no typing error goes unseen."""


class RecountQuery(_COUNTING):  # type: ignore[misc, valid-type]  # its fields are those of the counting's options
    """A stored result counted again."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Probability from which detections and candidates count; not below the report's `candidates_from`.",
    )
    review: Literal["off", "all", "own"] = Field(
        "off",
        description="States all counts after review, too: by what most reviewers say, or by what you alone said. "
        "Such an answer changes with the record.",
    )
    reviewer: str | None = Field(None, max_length=80, description="Of the review, only what people of this name said.")
    field: str | None = Field(
        None,
        pattern=_PAIR,
        max_length=60,
        description="Middle of a window, `x,y` in level-0 px, that is counted beside the hotspots.",
    )

    def field_middles(self) -> list[tuple[float, float]]:
        """The middles of the windows that are asked for, (x, y), level-0 px."""
        if self.field is None:
            return []
        try:
            x, y = (float(part) for part in self.field.split(","))
        except ValueError as error:
            raise RequestError(f"`field` is {self.field[:40]!r}: give two numbers with a comma, x,y") from error
        if not (math.isfinite(x) and math.isfinite(y)):
            raise RequestError("`field` is out of reach: give finite numbers")
        return [(x, y)]

    def counting(self) -> CountingOptions:
        """How figures are to be counted; raises `RequestError` if it contradicts itself."""
        return from_stated(CountingOptions, self.model_dump())


class ScoreQuery(AnalysisOptions):
    """Options of an analysis as query parameters."""

    # Servers and proxies refuse request lines of 64 KiB before this app sees them.
    roi: str | None = Field(
        None, max_length=8000, pattern=r"^[\x20-\x7e]*$", description=f"{_ROI} A longer one goes to /v1/analyses."
    )
    filename: str | None = Field(
        None, max_length=1000, description="The slide's file name with its suffix; needed where the body is the slide."
    )


def check_query(request: Request) -> None:
    """Refuse a query that gives a parameter twice, since nothing says which would count.

    Raises
    ------
    RequestError
        If it does.
    """
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise RequestError(f"{', '.join(repeated)[:80]} is given more than once; give each option once")


def to_options(asked: BaseModel) -> ScoringOptions:
    """The scoring options that a request states, checked before a byte of the slide is read.

    Raises
    ------
    RequestError
        If the roi does not parse, or options contradict each other.
    ResolutionError
        If mpp lies outside the range that can be resampled.
    """
    options = from_stated(ScoringOptions, asked.model_dump())
    for side in () if options.mpp is None else PixelSize.from_mpp(options.mpp):
        WorkFrame.from_mpp(side, model_mpp=side)
    return options
