"""Windows of a fixed area with what both sides count in them, the model and people after review."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from serving.core.geometry import Region
from serving.core.profiles import OWN_PROFILE, Profile, load_profile, make_own_profile
from serving.core.report import Counting, Hotspot, ReviewedWindow
from serving.scoring.area import Area
from serving.scoring.expected import Estimate
from serving.scoring.hotspot import find_hotspots
from serving.scoring.reviewed import ReviewedFigures
from serving.scoring.windows import Disc, Places, make_window

ChosenFor = Literal["model", "review", "request"]


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
    ) -> None:
        self._within, self._area, self._settings = within, area, settings
        self._centres, self._estimate, self._review = centres, estimate, review
        self._window = make_window(settings.hotspot_shape, settings.hotspot_area_mm2, mpp, within)
        self._origin = np.asarray([within.x, within.y], np.float64)
        self.area_mm2 = self._window.area * (mpp / 1000) ** 2
        self._profile = find_profile(settings, self.area_mm2)
        self.reviewed_estimate = None
        if review is not None and estimate is not None and estimate.rule is not None:
            self.reviewed_estimate = Estimate.from_probabilities(
                review.open_centres, review.open_probabilities, estimate.rule, certain=review.confirmed
            )

    def search(self, points: Places, chosen_for: ChosenFor) -> list[Hotspot]:
        """The fullest windows of `points`, (x, y), level-0 px, as many as the settings ask for."""
        places = find_hotspots(
            points - self._origin,
            window=self._window,
            size=(self._within.width, self._within.height),
            number=self._settings.hotspots,
            allowed=lambda place: self._find_tissue(place) >= self._settings.hotspot_min_tissue - 1e-9,
        )
        return [self._describe(place, chosen_for) for place in places]

    def count_around(self, x: float, y: float) -> Hotspot:
        """The window whose middle is nearest to (x, y), level-0 px, of those that lie in the analysed region."""
        size = np.asarray([self._window.width, self._window.height])
        room = np.asarray([self._within.width, self._within.height]) - size
        place = np.asarray([x, y]) - self._origin - size / 2
        return self._describe(place.clip(0, np.maximum(room, 0)), "request")

    def _describe(self, place: NDArray[np.float64], chosen_for: ChosenFor) -> Hotspot:
        """What is in the window at a place, (x, y), level-0 px from the corner of the analysed region."""
        corner, held = place + self._origin, self._count(self._centres, place)
        expected, interval = (None, None) if self._estimate is None else self._estimate.within(self._window, corner)
        return Hotspot(
            x=round(float(corner[0]), 2),
            y=round(float(corner[1]), 2),
            width=round(self._window.width, 2),
            height=round(self._window.height, 2),
            area_mm2=round(self.area_mm2, 4),
            mitotic_figures=held,
            per_mm2=round(held / self.area_mm2, 4),
            shape=self._settings.hotspot_shape,
            tissue_fraction=round(self._find_tissue(place), 4),
            expected_figures=None if expected is None else round(expected, 3),
            expected_interval=interval,
            chosen_for=chosen_for,
            component=None if self._profile is None else self._profile.component(held, round(self.area_mm2, 4)),
            reviewed=None if self._review is None else self._describe_review(self._review, place),
        )

    def _describe_review(self, review: ReviewedFigures, place: NDArray[np.float64]) -> ReviewedWindow:
        held, estimate = self._count(review.centres, place), self.reviewed_estimate
        expected, interval = (None, None) if estimate is None else estimate.within(self._window, place + self._origin)
        return ReviewedWindow(
            mitotic_figures=held,
            per_mm2=round(held / self.area_mm2, 4),
            judged=self._count(review.judged, place),
            expected_figures=None if expected is None else round(expected, 3),
            expected_interval=interval,
            component=None if self._profile is None else self._profile.component(held, round(self.area_mm2, 4)),
        )

    def _count(self, points: Places, place: NDArray[np.float64]) -> int:
        """Points (x, y), level-0 px, in the window; by the same sums as in the search, so that both agree on its rim."""
        return int(self._window.holds(place[None], points - self._origin)[0].sum())

    def _find_tissue(self, place: NDArray[np.float64]) -> float:
        """Share of analysed tissue in the window."""
        (x, y), window = (place + self._origin).tolist(), self._window
        if isinstance(window, Disc):
            return min(self._area.disc(x, y, window.radius) / window.area, 1.0)
        return self._area.rectangle(x, y, window.width, window.height) / window.area


def find_profile(settings: Counting, area_mm2: float) -> Profile | None:
    """The profile that the settings name, or that of their own cut-offs for windows of an area."""
    if settings.cut_offs is not None and settings.profile == OWN_PROFILE:
        return make_own_profile(settings.cut_offs, area_mm2)
    return None if settings.profile is None else load_profile(settings.profile)
