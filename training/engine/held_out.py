"""Which slides a run never saw: stated by the run, asked for by whoever judges it."""

import json
from collections.abc import Sequence
from pathlib import Path

_FILE = "held-out.json"


def state_held_out(run: Path, slides: Sequence[str], *starts: Path | None) -> None:
    """Note in a run's folder which of `slides` took no part in its training, nor in that of its initial weights.

    starts : `model.pt` of the runs that it started from
    """
    unseen = set(slides).intersection(*(_stated(start.parent) for start in starts if start is not None))
    run.mkdir(parents=True, exist_ok=True)
    (run / _FILE).write_text(json.dumps(sorted(unseen)))


def weights_without(runs: Path, slide: str) -> Path:
    """`model.pt` of a run that never saw a slide: that of `runs`/without-<slide>, or of `runs` itself.

    Raises
    ------
    FileNotFoundError
        If neither is a finished run.
    ValueError
        If the run does not state that it never saw the slide.
    """
    fold = runs / f"without-{slide}"
    run = fold if fold.is_dir() else runs
    if not (run / "model.pt").is_file():
        raise FileNotFoundError(f"no finished run at {fold} or {runs}: model.pt is missing")
    if slide not in _stated(run):
        raise ValueError(f"{run} does not state in {_FILE} that it never saw {slide}; judge it on other slides")
    return run / "model.pt"


def _stated(run: Path) -> set[str]:
    path = run / _FILE
    return set(json.loads(path.read_text())) if path.is_file() else set()
