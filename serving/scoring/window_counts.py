"""Windows of a fixed area with what both sides count in them, the model and people after review."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving.core.counts import Counting, Hotspot, ReviewedWindow
from serving.core.geometry import Region
from serving.core.profiles import OWN_PROFILE, Profile, load_profile, make_own_profile
from serving.scoring.area import Area
from serving.scoring.atypia import Marks, count_atypical
from serving.scoring.connected_fields import Fields, find_connected_fields
from serving.scoring.expected import Estimate
from serving.scoring.hotspot import find_hotspots
from serving.scoring.reviewed import ReviewedFigures
from serving.scoring.windows import CountingWindow, Disc, Places, make_window

ChosenFor = Literal["model", "review", "request"]
DEFAULT_FIELDS = 10
"""Connected fields of reports that state no number."""


class WindowCounts:
    """Searches windows, and says what is in them.

    Parameters
    ----------
    within
        The region that was analysed, level-0 px.
    area
        Analysed tissue.
    mpp
        Microns per level-0 px.
    settings
        Size and shape of the windows, and the profile of their counts.
    centres
        Of the model's figures, float64, shape (N, 2), (x, y), level-0 px.
    estimate
        Of the model's expected count; None where none is expected.
    review
        None where nobody asks for the counts after review.
    marks
        Of the model's figures, which are atypical; None without an atypia model.
    readers
        What each of two readers made of the figures, where `review` is their consensus.
    """

    def __init__(
        self,
        *,
        within: Region,
        area: Area,
        mpp: float,
        settings: Counting,
        centres: NDArray[np.float64],
        estimate: Estimate | None,
        review: ReviewedFigures | None,
        marks: Marks | None = None,
        readers: Sequence[ReviewedFigures] = (),
    ) -> None:
        self._within, self._area, self._settings = within, area, settings
        self._centres, self._estimate, self._review, self._marks = centres, estimate, review, marks
        self._window = make_window(settings.hotspot_shape, settings.hotspot_area_mm2, mpp, within)
        self._origin = np.asarray([within.x, within.y], np.float64)
        self.area_mm2 = self._window.area * (mpp / 1000) ** 2
        self._profile = find_profile(settings, self.area_mm2)
        self.reviewed_estimate = self._estimate_review(review)
        self._readers = [(one, self._estimate_review(one)) for one in readers]

    def search(self, points: Places, chosen_for: ChosenFor) -> list[Hotspot]:
        """The fullest windows of `points`, (x, y), level-0 px, as many as the settings ask for."""
        if self._settings.hotspot_shape == "fields":
            return [self._describe(one.place, chosen_for, one) for one in self._search_fields(points)]
        places = find_hotspots(
            points - self._origin,
            window=self._window,
            size=(self._within.width, self._within.height),
            number=self._settings.hotspots,
            allowed=lambda place: self._find_tissue(place, self._window) >= self._settings.hotspot_min_tissue - 1e-9,
        )
        return [self._describe(place, chosen_for) for place in places]

    def _search_fields(self, points: Places) -> list[Fields]:
        """The fullest sets of connected fields."""
        fields = self._settings.fields or DEFAULT_FIELDS
        return find_connected_fields(
            points - self._origin,
            side=math.sqrt(self._window.area / fields),
            fields=fields,
            size=(self._within.width, self._within.height),
            number=self._settings.hotspots,
            allowed=lambda one: self._find_tissue(one.place, one) >= self._settings.hotspot_min_tissue - 1e-9,
        )

    def count_around(self, x: float, y: float) -> Hotspot:
        """The window whose middle is nearest to (x, y), level-0 px, of those that lie in the analysed region."""
        size = np.asarray([self._window.width, self._window.height])
        room = np.asarray([self._within.width, self._within.height]) - size
        place = np.asarray([x, y]) - self._origin - size / 2
        return self._describe(place.clip(0, np.maximum(room, 0)), "request")

    def _describe(self, place: NDArray[np.float64], chosen_for: ChosenFor, fields: Fields | None = None) -> Hotspot:
        """What is in the window at a place, (x, y), level-0 px from the corner of the analysed region.

        fields : the window, where it is of connected fields
        """
        window = fields or self._window
        corner, inside = place + self._origin, self._hold(self._centres, place, window)
        held = int(inside.sum())
        expected, interval = (None, None) if self._estimate is None else self._estimate.within(window, corner)
        return Hotspot(
            x=round(float(corner[0]), 2),
            y=round(float(corner[1]), 2),
            width=round(window.width, 2),
            height=round(window.height, 2),
            area_mm2=round(self.area_mm2, 4),
            mitotic_figures=held,
            per_mm2=round(held / self.area_mm2, 4),
            shape="fields" if fields else "disc" if isinstance(window, Disc) else "rectangle",
            parts=None if fields is None else self._list_parts(fields),
            exact=None if fields is None else fields.exact,
            tissue_fraction=round(self._find_tissue(place, window), 4),
            expected_figures=None if expected is None else round(expected, 3),
            expected_interval=interval,
            chosen_for=chosen_for,
            component=None if self._profile is None else self._profile.component(held, round(self.area_mm2, 4)),
            reviewed=None
            if self._review is None
            else self._describe_review(self._review, self.reviewed_estimate, place, window),
            readings=[self._describe_review(one, estimate, place, window) for one, estimate in self._readers],
            atypical=None if self._marks is None else count_atypical(self._marks[inside]),
        )

    def _list_parts(self, fields: Fields) -> list[tuple[float, float, float, float]]:
        """x, y, width and height of each field, level-0 px."""
        side, corners = round(fields.side, 2), (fields.corners + self._origin).tolist()
        return [(round(x, 2), round(y, 2), side, side) for x, y in corners]

    def _estimate_review(self, review: ReviewedFigures | None) -> Estimate | None:
        """What is to be expected after a review; None without one, or where nothing is expected of probabilities."""
        if review is None or self._estimate is None or self._estimate.rule is None:
            return None
        return Estimate.from_probabilities(
            review.open_centres, review.open_probabilities, self._estimate.rule, certain=review.confirmed
        )

    def _describe_review(
        self, review: ReviewedFigures, estimate: Estimate | None, place: NDArray[np.float64], window: CountingWindow
    ) -> ReviewedWindow:
        inside = self._hold(review.centres, place, window)
        held = int(inside.sum())
        expected, interval = (None, None) if estimate is None else estimate.within(window, place + self._origin)
        return ReviewedWindow(
            mitotic_figures=held,
            per_mm2=round(held / self.area_mm2, 4),
            judged=int(self._hold(review.judged, place, window).sum()),
            expected_figures=None if expected is None else round(expected, 3),
            expected_interval=interval,
            component=None if self._profile is None else self._profile.component(held, round(self.area_mm2, 4)),
            atypical=None if review.marks is None else count_atypical(review.marks[inside]),
        )

    def _hold(self, points: Places, place: NDArray[np.float64], window: CountingWindow) -> NDArray[np.bool_]:
        """Which points, (x, y), level-0 px, the window holds; by the same sums as in the search, so that both agree on its rim."""
        return np.asarray(window.holds(place[None], points - self._origin)[0], np.bool_)

    def _find_tissue(self, place: NDArray[np.float64], window: CountingWindow) -> float:
        """Share of analysed tissue in the window."""
        if isinstance(window, Fields):
            squares = (window.corners + self._origin).tolist()
            return sum(self._area.rectangle(x, y, window.side, window.side) for x, y in squares) / window.area
        x, y = (place + self._origin).tolist()
        if isinstance(window, Disc):
            return min(self._area.disc(x, y, window.radius) / window.area, 1.0)
        return self._area.rectangle(x, y, window.width, window.height) / window.area


def find_profile(settings: Counting, area_mm2: float) -> Profile | None:
    """The profile that the settings name, or that of their own cut-offs for windows of an area."""
    if settings.cut_offs is not None and settings.profile == OWN_PROFILE:
        return make_own_profile(settings.cut_offs, area_mm2)
    return None if settings.profile is None else load_profile(settings.profile)
