"""The options of an analysis, as a query or as JSON, and what they ask of the scoring."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from serving.report import QualityUse
from serving.scoring.analysis import CountingOptions, Options
from serving.scoring.counting import AREAS_MM2, FIELD_DIAMETERS_MM, MAX_FIELDS, MAX_HOTSPOTS, check_counting
from serving.scoring.profiles import NO_PROFILE, profile_names
from serving.scoring.windows import Shape
from serving.wsi.errors import RequestError
from serving.wsi.geometry import MPP_RANGE, WorkFrame, parse_roi
from serving.wsi.pixelsize import PixelSize, parse_mpp

_DEFAULTS = Options()
_ROI = "Limits the analysis: x,y,width,height in level-0 px, or a JSON list of at least three [x, y] points."
_COUNTING = CountingOptions()


_PAIR = r"^ *[0-9.eE+-]{1,24} *, *[0-9.eE+-]{1,24} *$"
"""Two numbers with a comma."""


class CountingQuery(BaseModel):
    """How figures are counted once they are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hotspot_area: float | None = Field(
        None, ge=AREAS_MM2[0], le=AREAS_MM2[1], description="mm2; by default the profile's, else 2."
    )
    hotspot_shape: Shape = Field("rectangle", description="A 4:3 rectangle or a disc.")
    hotspots: int = Field(
        _COUNTING.hotspots, ge=0, le=MAX_HOTSPOTS, description="At most so many; they do not overlap."
    )
    hotspot_min_tissue: float = Field(
        _COUNTING.hotspot_min_tissue, ge=0, le=1, description="Windows with a smaller share of tissue do not compete."
    )
    field_diameter: float | None = Field(
        None,
        ge=FIELD_DIAMETERS_MM[0],
        le=FIELD_DIAMETERS_MM[1],
        description="mm, of a microscope's field; the hotspot's area is then that of `fields` of them.",
    )
    fields: int = Field(_COUNTING.fields, ge=1, le=MAX_FIELDS, description="High-power fields.")
    profile: str = Field(
        _COUNTING.profile,
        pattern=f"^({'|'.join([*profile_names(), NO_PROFILE])})$",
        description="Cut-offs for the first hotspot's count: " + ", ".join([*profile_names(), NO_PROFILE]) + ".",
    )

    def counting(self) -> CountingOptions:
        """The options as scoring takes them.

        Raises
        ------
        RequestError
            If they contradict each other.
        """
        options = CountingOptions(**{name: getattr(self, name) for name in CountingQuery.model_fields})
        check_counting(options)
        return options


class AnalysisOptions(CountingQuery):
    """Options of an analysis; an unknown one is an error, so that no typing error goes unseen."""

    mpp: Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(pattern=_PAIR, max_length=60)] | None = (
        Field(
            None,
            description=f"Microns per level-0 px, {MPP_RANGE[0]} to {MPP_RANGE[1]}; overrides what the slide states. Two numbers with "
            "a comma, `0.25,0.5`, where pixels are not square: along x and y.",
        )
    )
    roi: str | None = Field(
        None,
        max_length=100_000,
        description=_ROI,
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="Probability from which a detection counts, in place of the model card's."
    )
    cascade: Literal["on", "off"] = Field(
        "on", description="off runs the detector on every sub-tile, not only on those that screening passes on; slower."
    )
    min_tissue_fraction: float = Field(
        _DEFAULTS.min_tissue_fraction, ge=0, le=1, description="Tiles with a smaller share of tissue are not scored."
    )
    qc: QualityUse = Field(
        _DEFAULTS.qc,
        description="What becomes of ink, bubbles, folds and blur: `report` states their area, `exclude` takes them out of "
        "tissue and figures too, `off` does not look for them.",
    )


class RecountQuery(CountingQuery):
    """A stored result counted again."""

    threshold: float | None = Field(
        None, ge=0, le=1, description="Leaves out detections below it; not below what the analysis was made with."
    )


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
    """Refuse a query that gives a parameter twice: which of them would count?

    Raises
    ------
    RequestError
        If it does.
    """
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise RequestError(f"{', '.join(repeated)[:80]} is given more than once; give each option once")


def to_options(asked: AnalysisOptions) -> Options:
    """The scoring options that a request states, checked before a byte of the slide is read.

    Raises
    ------
    RequestError
        If the roi does not parse.
    ResolutionError
        If mpp lies outside the range that can be resampled.
    """
    mpp = parse_mpp(asked.mpp) if isinstance(asked.mpp, str) else asked.mpp
    for side in () if mpp is None else PixelSize.of(mpp):
        WorkFrame.of(side, model_mpp=side)
    return Options(
        mpp=mpp,
        roi=None if asked.roi is None else parse_roi(asked.roi),
        threshold=asked.threshold,
        cascade=asked.cascade == "on",
        min_tissue_fraction=asked.min_tissue_fraction,
        counting=asked.counting(),
        qc=asked.qc,
    )
