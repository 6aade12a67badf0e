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
_COUNTING = create_model("_COUNTING", __config__=_STRICT, **stated_fields(CountingOptions, files=False))
_ALL = create_model("_ALL", __config__=_STRICT, **stated_fields(ScoringOptions))
_ROI = ScoringOptions.model_fields["roi"].description
_WITHIN, _EXCLUDE = (CountingOptions.model_fields[name].description for name in ("within", "exclude"))
_LONGEST = 8000
"""Characters of an option: servers and proxies refuse request lines of 64 KiB before this app sees them."""
_PRINTABLE = r"^[\x20-\x7e]*$"


RegionsUse = Literal["current", "scored", "off"]


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
    review: Literal["off", "all", "own", "consensus"] = Field(
        "off",
        description="States all counts after review, too: by what most reviewers say, by what you alone said, or by the consensus "
        "of two readings that are finished, with the counts of both readers beside it. Such an answer changes with the record.",
    )
    reviewer: str | None = Field(None, max_length=80, description="Of the review, only what people of this name said.")
    study: str | None = Field(
        None,
        min_length=1,
        max_length=40,
        description="The review is what you said in this study, as the reader `reviewer`, in the regions that the result was scored with.",
    )
    field: str | None = Field(
        None,
        pattern=_PAIR,
        max_length=60,
        description="Middle of a window, `x,y` in level-0 px, that is counted beside the hotspots.",
    )
    signature: int | None = Field(
        None,
        ge=1,
        le=2**62,
        description="The counts as they were signed, by the number of the signature; no other option goes with it.",
    )

    regions: RegionsUse = Field(
        "current",
        description="Regions that are counted in and left out: those last drawn on the result, else those that it was scored "
        "with; only those that it was scored with; or none. An answer by current ones changes when somebody draws.",
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

    @property
    def is_settled(self) -> bool:
        """Whether the answer stays the same whatever people say and draw."""
        return self.review == "off" and self.regions != "current" and self.signature is None

    def check_signature(self) -> None:
        """Refuse options beside a signature: how was counted is part of it.

        Raises
        ------
        RequestError
            If there are any.
        """
        if self.signature is not None and (others := sorted(self.model_fields_set - {"signature"})):
            raise RequestError(f"`signature` says how was counted; leave out {', '.join(others)}")


_REGIONS_OF_BODY = {
    name: field for name, field in stated_fields(CountingOptions).items() if name in ("within", "exclude")
}


class RecountRequest(create_model("_REGIONS", __base__=RecountQuery, **_REGIONS_OF_BODY)):  # type: ignore[misc]
    """A stored result counted again, in regions that are stated with the request and not kept."""

    @property
    def states_regions(self) -> bool:
        """Whether the request brings its own regions; with null in both there are none."""
        return bool({"within", "exclude"} & self.model_fields_set)


class ScoreQuery(AnalysisOptions):
    """Options of an analysis as query parameters."""

    roi: str | None = Field(
        None, max_length=_LONGEST, pattern=_PRINTABLE, description=f"{_ROI} A longer one goes to /v1/analyses."
    )
    within: str | None = Field(
        None, max_length=_LONGEST, pattern=_PRINTABLE, description=f"{_WITHIN} Longer ones go to /v1/analyses."
    )
    exclude: str | None = Field(
        None, max_length=_LONGEST, pattern=_PRINTABLE, description=f"{_EXCLUDE} Longer ones go to /v1/analyses."
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
