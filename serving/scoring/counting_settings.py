"""How an analysis is counted, as options ask for it and as its report states it."""

import math

from serving.core.counts import Counting, RegionsBy
from serving.core.options import CountingOptions
from serving.core.outlines import Outlines, hash_outlines
from serving.core.profiles import NO_PROFILE, OWN_PROFILE, Profile, load_profile
from serving.core.report import SegmentedRegions
from serving.core.report_parts import SlideInfo

HOTSPOT_MM2 = 2.0
"""The counting area of current practice (WHO classifications)."""


def resolve_counting(
    options: CountingOptions,
    slide: SlideInfo,
    *,
    threshold: float | None = None,
    regions: SegmentedRegions | None = None,
) -> Counting:
    """The options as the report of a slide states them, nothing left open.

    regions : of the regions model, which bound the count unless the options state others

    Raises
    ------
    RoiError
        If a region lies outside the slide.
    """
    profile = _profile(options)
    diameter = options.field_diameter
    area = options.hotspot_area or (profile.area_mm2 if profile is not None else HOTSPOT_MM2)
    if diameter is not None:
        area = options.fields * math.pi * (diameter / 2) ** 2
    within, exclude = (
        None if outlines is None else outlines.place(slide).as_report()
        for outlines in (options.within, options.exclude)
    )
    by: RegionsBy | None = None
    if regions is not None:
        by = "model" if options.model_regions == "use" and within is exclude is None else "people"
    if regions is not None and by == "model":
        within, exclude = regions.list_outlines("within"), regions.list_outlines("exclude")
    return Counting(
        hotspot_area_mm2=round(area, 6),
        hotspot_shape=options.hotspot_shape,
        hotspots=options.hotspots,
        hotspot_min_tissue=options.hotspot_min_tissue,
        field_diameter_mm=diameter,
        fields=None if diameter is None and options.hotspot_shape != "fields" else options.fields,
        profile=OWN_PROFILE if options.cut_offs is not None else None if profile is None else profile.name,
        threshold=threshold,
        cut_offs=None if options.cut_offs is None else list(options.cut_offs),
        within=within,
        exclude=exclude,
        regions_sha256=None if within is exclude is None else hash_outlines(within, exclude),
        regions_by=by,
    )


def restore_options(stated: Counting) -> CountingOptions:
    """The options that a report's settings come from, so that it can be counted again by the same."""
    own, by_model = stated.profile == OWN_PROFILE, stated.regions_by == "model"
    return CountingOptions(
        hotspot_area=None if stated.field_diameter_mm is not None else stated.hotspot_area_mm2,
        hotspot_shape=stated.hotspot_shape,
        hotspots=stated.hotspots,
        hotspot_min_tissue=stated.hotspot_min_tissue,
        field_diameter=stated.field_diameter_mm,
        fields=stated.fields or CountingOptions().fields,
        profile=NO_PROFILE if own or stated.profile is None else stated.profile,
        cut_offs=None if stated.cut_offs is None else tuple(stated.cut_offs),
        within=None if by_model else Outlines.from_report(stated.within),
        exclude=None if by_model else Outlines.from_report(stated.exclude),
        model_regions="ignore" if stated.regions_by == "people" else "use",
    )


def _profile(options: CountingOptions) -> Profile | None:
    return None if options.profile == NO_PROFILE else load_profile(options.profile)
