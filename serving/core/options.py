"""The options of an analysis, declared once: queries, JSON bodies, the command line and stored jobs derive from these fields."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator
from pydantic.fields import FieldInfo

from serving.core.counts import HotspotShape
from serving.core.errors import RequestError
from serving.core.geometry import MPP_RANGE, Roi, parse_roi
from serving.core.outlines import Outlines, parse_outlines
from serving.core.pixelsize import parse_mpp
from serving.core.profiles import DEFAULT_PROFILE, NO_PROFILE, profile_names
from serving.core.report_parts import CascadeMode, Colours, QualityUse

AREAS_MM2 = (0.1, 100.0)
FIELD_DIAMETERS_MM = (0.1, 1.5)
MAX_HOTSPOTS = 20
MAX_FIELDS = 100
_MOST_ROI = 100_000
MAX_CUT_OFFS = 8
_PAIR = r"^ *[0-9.eE+-]{1,24} *, *[0-9.eE+-]{1,24} *$"
"""Two numbers with a comma."""
_NUMBERS = r"^ *[0-9]{1,5} *(, *[0-9]{1,5} *)*$"
"""Whole numbers with commas."""
_PROFILES = (*profile_names(), NO_PROFILE)


@dataclass(frozen=True, slots=True)
class Stated:
    """How users state an option, where they do not state it as it is held.

    Parameters
    ----------
    form
        Annotation of what they state; None for the field's own.
    default
        What they state by default, in that form.
    parse
        From that form to what is held. Raises `RequestError` for what it does not understand.
    choices
        The texts that there are, of a field that its annotation does not enumerate.
    option
        Name on the command line, such as `--min-tissue`; None for the field's own.
    file
        Whether it is the path of a file on the command line; queries have no room for it.
    server
        Whether it is of servers alone; the command line has no room for it.
    """

    form: Any = None
    default: Any = None
    parse: Callable[[Any], Any] = field(default=lambda value: value)
    choices: tuple[str, ...] = ()
    option: str | None = None
    file: bool = False
    server: bool = False


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_cut_offs(text: str) -> tuple[int, ...]:
    """Cut-offs, such as `7,14`: the most figures of each category but the last.

    Raises
    ------
    RequestError
        If they are no rising whole numbers, or too many.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = tuple(int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) <= 5)
    rising = all(low < high for low, high in pairwise(numbers))
    if len(numbers) != len(parts) or not rising or len(numbers) > MAX_CUT_OFFS:
        raise RequestError(
            f"`cut_offs` is {text[:40]!r}: give at most {MAX_CUT_OFFS} rising whole numbers with commas, such as 7,14"
        )
    return numbers


_REGIONS = (
    BeforeValidator(lambda value: value if value is None else parse_outlines(value)),
    PlainSerializer(lambda outlines: None if outlines is None else outlines.as_geojson()),
    Stated(
        form=dict[str, Any] | None,
        parse=lambda stated: None if stated is None else parse_outlines(stated),
        file=True,
    ),
)
"""Of a field that holds outlines, which users state as GeoJSON."""


class CountingOptions(_Options):
    """How figures are counted once they are found. A stored result can be counted again by others."""

    hotspot_area: float | None = Field(
        default=None, ge=AREAS_MM2[0], le=AREAS_MM2[1], description="mm2; by default the profile's, else 2."
    )
    hotspot_shape: HotspotShape = Field(
        default="rectangle",
        description="A 4:3 rectangle, a disc, or `fields`: as many square high-power fields as `fields` says, together of the area, each of "
        "which touches another by a side.",
    )
    hotspots: int = Field(default=3, ge=0, le=MAX_HOTSPOTS, description="At most so many; they do not overlap.")
    # A needle biopsy fills little more than this.
    hotspot_min_tissue: float = Field(
        default=0.25, ge=0, le=1, description="Windows with a smaller share of tissue do not compete."
    )
    field_diameter: float | None = Field(
        default=None,
        ge=FIELD_DIAMETERS_MM[0],
        le=FIELD_DIAMETERS_MM[1],
        description="mm, of a microscope's field; the hotspot's area is then that of `fields` of them.",
    )
    fields: int = Field(default=10, ge=1, le=MAX_FIELDS, description="High-power fields.")
    profile: Annotated[str, Stated(choices=_PROFILES)] = Field(
        default=DEFAULT_PROFILE,
        pattern=f"^({'|'.join(_PROFILES)})$",
        description=f"Cut-offs for the first hotspot's count: {', '.join(_PROFILES)}.",
    )
    cut_offs: Annotated[
        tuple[int, ...] | None,
        Stated(
            form=Annotated[str, Field(pattern=_NUMBERS, max_length=60)] | None,
            parse=lambda stated: None if stated is None else parse_cut_offs(stated),
        ),
    ] = Field(
        default=None,
        description="Own cut-offs in place of a profile's: the most figures of each category but the last, such as `7,14`.",
    )
    within: Annotated[Outlines | None, *_REGIONS] = Field(
        default=None,
        description="Regions to count in, as QuPath exports them (GeoJSON); by default all of the analysed tissue.",
    )
    exclude: Annotated[Outlines | None, *_REGIONS] = Field(
        default=None, description="Regions to leave out, such as necrosis, in the same form."
    )
    model_regions: Literal["use", "ignore"] = Field(
        default="use",
        description="Where the release has a `regions` model: whether figures count in its regions, which `within` and `exclude` replace "
        "where one of them is given, or everywhere.",
    )

    @model_validator(mode="after")
    def _one_area(self) -> Self:
        if self.hotspot_area is not None and self.field_diameter is not None:
            raise RequestError("`hotspot_area` and `field_diameter` both state an area; give one of them")
        return self


def _stored_roi(value: object) -> object:
    """A region as a job stores it, a list of points, or as users state it."""
    if isinstance(value, str):
        return parse_roi(value)
    if isinstance(value, list):
        return Roi(tuple((float(x), float(y)) for x, y in value))
    return value


def _stored_mode(value: object) -> object:
    """A cascade as it is called, or as jobs store it that were made while it was on or off."""
    return {True: "exact", False: "off"}[value] if isinstance(value, bool) else value


class ScoringOptions(_Options):
    """What a caller may ask of one analysis; None means the model card's or the slide's own value."""

    mpp: Annotated[
        float | tuple[float, float] | None,
        Stated(
            form=Annotated[float, Field(allow_inf_nan=False)]
            | Annotated[str, Field(pattern=_PAIR, max_length=60)]
            | None,
            parse=lambda stated: parse_mpp(stated) if isinstance(stated, str) else stated,
        ),
    ] = Field(
        default=None,
        description=f"Microns per level-0 px, {MPP_RANGE[0]} to {MPP_RANGE[1]}; overrides what the slide states. Two numbers with "
        "a comma, `0.25,0.5`, where pixels are not square: along x and y.",
    )
    roi: Annotated[
        Roi | None,
        BeforeValidator(_stored_roi),
        PlainSerializer(lambda roi: None if roi is None else [list(point) for point in roi.points]),
        Stated(
            form=Annotated[str, Field(max_length=_MOST_ROI)] | None,
            parse=lambda stated: None if stated is None else parse_roi(stated),
        ),
    ] = Field(
        default=None,
        description="Limits the analysis: x,y,width,height in level-0 px, or a JSON list of at least three [x, y] points.",
    )
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="Probability from which a detection counts, in place of the model card's."
    )
    cascade: Annotated[
        CascadeMode,
        BeforeValidator(_stored_mode),
        Stated(
            form=Literal["on", "off", "exact", "fast"],
            default="on",
            parse=lambda stated: "exact" if stated == "on" else stated,
        ),
    ] = Field(
        default="exact",
        description="`exact`, also called `on`, screens every sub-tile and runs the detector on those that screening passes. "
        "`fast` does so where a light net finds that a figure may be; it needs models with one. `off` runs the detector on every "
        "sub-tile; slower.",
    )
    min_tissue_fraction: Annotated[float, Stated(option="--min-tissue")] = Field(
        default=0.05, ge=0, le=1, description="Tiles with a smaller share of tissue are not scored."
    )
    qc: QualityUse = Field(
        default="report",
        description="What becomes of ink, bubbles, folds and blur: `report` states their area, `exclude` takes them out of "
        "tissue and figures too, `off` does not look for them.",
    )
    release: Annotated[int | None, Stated(server=True)] = Field(
        default=None,
        ge=1,
        le=2**62,
        description="Number of a release that has served here, see GET /v1/releases; by default the one that serves when the analysis "
        "begins.",
    )
    colours: Colours = Field(
        default="stored",
        description="What of the slide's colours the models see: `stored`, as the file has them, `srgb`, in sRGB by the file's "
        "ICC profile. Models are trained and judged on stored colours.",
    )
    counting: CountingOptions = CountingOptions()


def find_stated(info: FieldInfo) -> Stated:
    """How users state a field."""
    return next((one for one in info.metadata if isinstance(one, Stated)), Stated())


def flat_fields(options: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Names and fields of options, those of nested ones in place of these."""
    for name, info in options.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from flat_fields(nested)
        else:
            yield name, info


def stated_fields(options: type[BaseModel], *, files: bool = True) -> dict[str, Any]:
    """The fields in the form in which users state them, as `pydantic.create_model` takes them.

    files : also those for which a query has no room
    """
    fields: dict[str, Any] = {}
    for name, info in flat_fields(options):
        stated = find_stated(info)
        if stated.file and not files:
            continue
        if stated.form is None:
            fields[name] = (info.annotation, info)
        else:
            fields[name] = (stated.form, Field(stated.default, description=info.description))
    return fields


_O = TypeVar("_O", bound=_Options)


def from_stated(options: type[_O], stated: dict[str, Any]) -> _O:
    """Options of what users stated, by the fields' flat names; what is not stated has its default.

    Raises
    ------
    RequestError
        If something is not understood, or options contradict each other.
    """
    values: dict[str, Any] = {}
    for name, info in options.model_fields.items():
        nested = info.annotation
        if isinstance(nested, type) and issubclass(nested, _Options):
            values[name] = from_stated(nested, stated)
        elif name in stated:
            values[name] = find_stated(info).parse(stated[name])
    return options(**values)
