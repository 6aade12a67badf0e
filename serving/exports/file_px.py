"""Reports in px of the slide's own file, for formats that other programs show on that file."""

from typing import Any

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
        return place.model_copy(update={name: round(side, digits) for name, side in sides.items()})

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
            "detections": [scaled(found, 2) for found in report.detections],
            "candidates": [scaled(found, 2) for found in report.candidates],
            "hotspots": [scaled(found, 2) for found in report.hotspots],
            "fields": [scaled(found, 2) for found in report.fields],
            "review": review,
            "tiles": [scaled(tile, None) for tile in report.tiles],
        }
    )
