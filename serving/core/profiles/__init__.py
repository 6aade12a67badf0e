"""Cut-offs of mitotic counts, a file of data for each kind of tumour, each with its source."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from serving.core.counts import CountComponent
from serving.core.errors import RequestError

DEFAULT_PROFILE = "breast-nottingham"
NO_PROFILE = "none"
OWN_PROFILE = "own"
"""Of cut-offs that came with a request."""
AREA_TOLERANCE = 0.01
"""A profile for one area judges counts of that area, to a hundredth."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Cut-offs: a count up to `highest[i]` has `labels[i]`, a larger one the last label.

    by_field_diameter : `highest` for ten fields by their diameter in hundredths of a mm; empty where only `area_mm2` counts
    """

    name: str
    title: str
    source: str
    area_mm2: float
    labels: tuple[str, ...]
    highest: tuple[int, ...]
    by_field_diameter: dict[int, tuple[int, ...]]

    def component(self, count: int, area_mm2: float) -> CountComponent:
        """What the count in an area amounts to, and how many figures more or fewer would change it.

        An area is that of ten fields of diameter d = sqrt(0.4 A / pi).
        """
        diameter = math.sqrt(0.4 * area_mm2 / math.pi)
        highest = self._highest(area_mm2, diameter)
        component = CountComponent(
            profile=self.name,
            title=self.title,
            source=self.source,
            count=count,
            area_mm2=round(area_mm2, 4),
            field_diameter_mm=round(diameter, 4),
            estimate=None,
            reason=None if highest is not None else self._refusal(area_mm2),
            to_next=None,
            to_previous=None,
        )
        if highest is None:
            return component
        at = sum(count > most for most in highest)
        return component.model_copy(
            update={
                "estimate": self.labels[at],
                "cut_offs": list(highest),
                "to_next": highest[at] + 1 - count if at < len(highest) else None,
                "to_previous": count - highest[at - 1] if at else None,
            }
        )

    def _highest(self, area_mm2: float, diameter: float) -> tuple[int, ...] | None:
        if self.by_field_diameter:
            return self.by_field_diameter.get(round(diameter * 100))
        return self.highest if abs(area_mm2 / self.area_mm2 - 1) <= AREA_TOLERANCE else None

    def _refusal(self, area_mm2: float) -> str:
        if not self.by_field_diameter:
            return f"the cut-offs are for {self.area_mm2:g} mm²; the hotspot has {area_mm2:.4g} mm²"
        low, high = (math.pi * (d / 100) ** 2 / 0.4 for d in (min(self.by_field_diameter), max(self.by_field_diameter)))
        return f"the cut-offs are for {low:.2f} to {high:.2f} mm²; the hotspot has {area_mm2:.4g} mm²"


@cache
def load_profile(name: str) -> Profile:
    """The profile of a name.

    Raises
    ------
    RequestError
        If there is none; the message lists those there are.
    """
    names = profile_names()
    if name not in names:
        raise RequestError(f"no profile {name[:80]!r}; there are {', '.join(names)} and {NO_PROFILE}")
    data = tomllib.loads((files(__name__) / f"{name}.toml").read_text("utf-8"))
    return Profile(
        name=name,
        title=data["title"],
        source=data["source"],
        area_mm2=data["area_mm2"],
        labels=tuple(data["labels"]),
        highest=tuple(data.get("highest", ())),
        by_field_diameter={round(float(d) * 100): tuple(v) for d, v in data.get("by_field_diameter", {}).items()},
    )


def make_own_profile(cut_offs: Sequence[int], area_mm2: float) -> Profile:
    """The profile of cut-offs that somebody states for an area.

    cut_offs : rising, at least one
    """
    starts = (0, *(most + 1 for most in cut_offs))
    return Profile(
        name=OWN_PROFILE,
        title="Own cut-offs",
        source="stated with the request; not from a publication",
        area_mm2=area_mm2,
        labels=(
            *(f"{low} to {most}" for low, most in zip(starts, cut_offs, strict=False)),
            f"{starts[-1]} or more",
        ),
        highest=tuple(cut_offs),
        by_field_diameter={},
    )


def profile_names() -> list[str]:
    """The names of all profiles."""
    return sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))
