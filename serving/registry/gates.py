"""What a release must not lose against the one that serves, on slides whose mitotic figures are known."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select

from serving.core.words import format_count
from serving.registry.golden import golden_digest, read_golden
from serving.registry.measuring import CascadeMeasurement, measure_in_subprocess
from serving.registry.version import GoldenSetError, VersionId, VersionRefusedError
from serving.registry.version_check_cache import machine_hash
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.tables import gate_runs

Models = tuple[VersionId, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that was measured of both."""

    name: str
    candidate: float | None
    serving: float | None
    limit: float
    """What the candidate may have at the least, or, of what should be low, at the most."""
    allowed: str
    passed: bool

    def __str__(self) -> str:
        numbers = " against ".join("none" if v is None else f"{v:.3g}" for v in (self.candidate, self.serving))
        return f"{self.name} {numbers} ({self.allowed}): {'passed' if self.passed else 'refused'}"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """How a candidate compares with what serves."""

    models: Models
    candidate: CascadeMeasurement
    serving: CascadeMeasurement
    gates: tuple[Gate, ...]

    @property
    def passed(self) -> bool:
        """Whether the candidate may serve."""
        return all(gate.passed for gate in self.gates)

    def __str__(self) -> str:
        named = ", ".join(model.label for model in self.models)
        return (
            f"{named} against what serves, on {format_count(self.serving.slides, 'slide')} with {format_count(self.serving.figures, 'mitotic figure')}: "
            f"{'; '.join(str(gate) for gate in self.gates)}"
        )


def judge_gates(
    candidate: CascadeMeasurement, serving: CascadeMeasurement, settings: ServerSettings
) -> tuple[Gate, ...]:
    """The gates of F1, calibration and speed, by the margins of `settings`."""
    least, slowest = serving.f1 - settings.gate_f1, serving.seconds_per_mm2 * (1 + settings.gate_speed)
    highest = (serving.brier or 0.0) + settings.gate_brier
    # Without a detection there is nothing to be calibrated; F1 says what that is worth.
    calibrated = candidate.brier is None or serving.brier is None or candidate.brier <= highest
    seconds = candidate.seconds_per_mm2
    return (
        Gate("F1", candidate.f1, serving.f1, least, f"may fall by {settings.gate_f1:g}", candidate.f1 >= least),
        Gate(
            "calibration (Brier score)",
            candidate.brier,
            serving.brier,
            highest,
            f"may rise by {settings.gate_brier:g}",
            calibrated,
        ),
        Gate(
            "seconds a mm2 of tissue",
            seconds,
            serving.seconds_per_mm2,
            slowest,
            f"may rise by {settings.gate_speed:.0%}",
            seconds <= slowest,
        ),
    )


NOT_JUDGED = (
    "there is no golden set, so nothing was measured of it before it serves; set MITOSIS_GOLDEN_SET to a folder of slides with "
    "their figures, or promote with --golden"
)
"""What is said of a release that no gate judged and nobody forced."""


class GateStore:
    """The gates of one database; what was measured on this machine is remembered."""

    def __init__(
        self, settings: ServerSettings, database: Database, folders: Callable[[Models], Mapping[str, Path]]
    ) -> None:
        """`folders`: the version folders of a cascade, by name."""
        self._settings, self._database, self._folders = settings, database, folders

    def verdict(
        self, candidate: Models, serving: Models, golden: Path | None = None, *, again: bool = False
    ) -> GateVerdict:
        """Score a golden set, by default that of the settings, with both and compare.

        again : even if that was done before

        Raises
        ------
        GoldenSetError
            If there is none, or it cannot be used.
        RefusedError, ModelError
            If it cannot be scored.
        """
        folder = golden or self._settings.golden_set
        if folder is None:
            raise GoldenSetError(
                "there is no golden set; set MITOSIS_GOLDEN_SET to a folder of slides with their figures"
            )
        key = (_hash(candidate, serving), golden_digest(read_golden(folder)), machine_hash(self._settings))
        measured = None if again else self._find_known(key)
        if measured is None:
            measured = measure_in_subprocess([self._folders(candidate), self._folders(serving)], folder, self._settings)
            self._remember(key, measured)
        ours, theirs = measured
        return GateVerdict(candidate, ours, theirs, judge_gates(ours, theirs, self._settings))

    def check(self, candidate: Models, serving: Models, golden: Path | None = None) -> GateVerdict | None:
        """Make sure that a cascade passes; None where there is no golden set to ask, or both are the same.

        Raises
        ------
        RefusedError
            If it does not; the message names every gate with both numbers.
        GoldenSetError, ModelError
            As `verdict`.
        """
        if candidate == serving or self.has_no_golden_set(golden):
            return None
        found = self.verdict(candidate, serving, golden)
        if not found.passed:
            raise VersionRefusedError(f"its gates refuse {found}")
        return found

    def has_no_golden_set(self, golden: Path | None = None) -> bool:
        """Whether there is no golden set to ask."""
        return golden is None and self._settings.golden_set is None

    def _find_known(self, key: tuple[str, str, str]) -> list[CascadeMeasurement] | None:
        models, golden, machine = key
        same = (gate_runs.c.models == models) & (gate_runs.c.golden == golden) & (gate_runs.c.machine == machine)
        with self._database.reading() as tx:
            text = tx.execute(select(gate_runs.c.measured).where(same)).scalar()
        return None if text is None else [CascadeMeasurement(**values) for values in json.loads(text)]

    def _remember(self, key: tuple[str, str, str], measured: Sequence[CascadeMeasurement]) -> None:
        models, golden, machine = key
        same = (gate_runs.c.models == models) & (gate_runs.c.golden == golden) & (gate_runs.c.machine == machine)
        text = json.dumps([asdict(one) for one in measured])
        with self._database.writing() as tx:
            tx.execute(delete(gate_runs).where(same))
            values = {"models": models, "golden": golden, "machine": machine, "at": time.time(), "measured": text}
            tx.execute(insert(gate_runs).values(values))


def _hash(candidate: Models, serving: Models) -> str:
    stated = [[model.digest for model in models] for models in (candidate, serving)]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()
