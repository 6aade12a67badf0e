"""Reports in px of the slide's own file, for formats that other programs show on that file."""

from typing import Any

from serving.core.counts import NamedOutline
from serving.core.report import Report


def in_file_px(report: Report) -> Report:
    """The report with its coordinates in px of the file: another one only where the slide's pixels are not square."""
    scale = report.slide.stored_scale
    if scale is None:
        return report
    across, down = scale

    def scaled(place: Any, digits: int | None) -> Any:
        sides = {
            "x": place.x * across,
            "y": place.y * down,
            "width": place.width * across,
            "height": place.height * down,
        }
        changed: dict[str, Any] = {name: round(side, digits) for name, side in sides.items()}
        if getattr(place, "parts", None) is not None:
            changed["parts"] = [
                (round(x * across, 2), round(y * down, 2), round(w * across, 2), round(h * down, 2))
                for x, y, w, h in place.parts
            ]
        return place.model_copy(update=changed)

    def stretched(outlines: list[NamedOutline] | None) -> list[NamedOutline] | None:
        if outlines is None:
            return None
        return [
            one.model_copy(
                update={
                    "polygons": [
                        [[(x * across, y * down) for x, y in ring] for ring in polygon] for polygon in one.polygons
                    ]
                }
            )
            for one in outlines
        ]

    settings, counting = report.settings, report.settings.counting
    if counting is not None:
        regions = {"within": stretched(counting.within), "exclude": stretched(counting.exclude)}
        settings = settings.model_copy(update={"counting": counting.model_copy(update=regions)})
    segmented = report.regions
    if segmented is not None:
        classes = [one.model_copy(update={"outlines": stretched(one.outlines)}) for one in segmented.classes]
        segmented = segmented.model_copy(update={"classes": classes})
    review = report.review
    if review is not None:
        review = review.model_copy(
            update={
                "hotspots": [scaled(found, 2) for found in review.hotspots],
                "objects": [scaled(found, 2) for found in review.objects],
            }
        )
    slide, bounds = report.slide, report.slide.bounds
    size: dict[str, Any] = {
        "width": round(slide.width * across),
        "height": round(slide.height * down),
        "stored_scale": None,
    }
    if bounds is not None:
        size["bounds"] = tuple(round(side * (down if i % 2 else across)) for i, side in enumerate(bounds))
    return report.model_copy(
        update={
            "slide": slide.model_copy(update=size),
            "settings": settings,
            "regions": segmented,
            "detections": [scaled(found, 2) for found in report.detections],
            "candidates": [scaled(found, 2) for found in report.candidates],
            "outside": [scaled(found, 2) for found in report.outside],
            "hotspots": [scaled(found, 2) for found in report.hotspots],
            "fields": [scaled(found, 2) for found in report.fields],
            "review": review,
            "tiles": [scaled(tile, None) for tile in report.tiles],
        }
    )
