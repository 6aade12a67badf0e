"""Tables 4 to 9 from the outcomes of the grid: ours, with the paper's figures beside them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from training.labels.table import Table
from training.models.heads.boxes import DET_THRESHOLDS
from training.models.heads.scores import REG_THRESHOLDS
from training.paper import published
from training.paper.grid import BACKBONE_MODELS, RATIOS, Sizes, job_name, ratio_name
from training.paper.outcome import Rate, Seeds, area_under_roc, rate_at
from training.paper.published import Cell

DET_MODELS: tuple[str, ...] = ("Det", "Det-NS", "Det-WL", "Det-NS-WL")

RateOf = Callable[[str, float], Rate]
"""Rates of a job at a threshold."""


def compute_rates(seeds: Seeds, positive: NDArray[np.bool_]) -> RateOf:
    """Rates on the test sub-tiles by job and threshold, mean over seeds."""

    def mean(job: str, threshold: float) -> Rate:
        found = [rate_at(outcomes[job].scores, positive, threshold) for outcomes in seeds]
        return Rate(float(np.mean([r.tpr for r in found])), float(np.mean([r.fpr for r in found])))

    return mean


def tables(seeds: Seeds, positive: NDArray[np.bool_], sizes: Sizes) -> list[Table]:
    """All tables of results, cells "ours (paper's)" as TPR/FPR in per cent.

    positive : bool, (N,), which test sub-tiles are mitotic
    """
    rate = compute_rates(seeds, positive)

    def area(job: str) -> float:
        return float(np.mean([area_under_roc(outcomes[job].scores, positive) for outcomes in seeds]))

    return [
        _table_4(rate, area),
        _table_5(rate, sizes),
        _table_6(rate, sizes),
        _table_7(rate),
        _table_8(lambda job, theirs: _cell(rate(job, 0.95), theirs), sizes, "8", "at 0.95"),
        _table_8(lambda job, _: f"{area(job):.3f}", sizes, "8-auc", "by the area under the ROC curve"),
        _table_9(rate, seeds),
        _naive(rate, seeds),
    ]


def _cell(ours: Rate, theirs: Cell | None) -> str:
    return f"{ours} ({theirs[0]:g}/{theirs[1]:g})" if theirs else str(ours)


def _table_4(rate: RateOf, area: Callable[[str], float]) -> Table:
    reg_ns = [
        (f"Reg-NS {r:g}:1 ({t:g})", job_name("Reg-NS", negatives=ratio_name(r)), t)
        for r, t in zip(RATIOS, (0.4, 0.15, 0.2, 0.25), strict=True)
    ]
    jobs = [
        ("BC (0.5)", job_name("BC", negatives="1to1"), 0.5),
        ("Reg (0.6)", job_name("Reg"), 0.6),
        *reg_ns,
        ("Det (0.95)", job_name("Det"), 0.95),
        ("Det-NS 1:1 (0.95)", job_name("Det-NS", negatives="1to1"), 0.95),
        ("Det-WL (0.95)", job_name("Det-WL"), 0.95),
        ("Det-NS-WL 1:1 (0.95)", job_name("Det-NS-WL", negatives="1to1"), 0.95),
    ]
    rows = tuple(
        (
            name,
            str(rate(job, t)),
            _published_cell(published.TABLE_4[name]),
            f"{rate(job, t).youden:.3f}",
            f"{area(job):.3f}",
        )
        for name, job, t in jobs
    )
    return Table("4", "the seven model classes", ("model (threshold)", "TPR/FPR %", "paper", "TPR - FPR", "AUC"), rows)


def _published_cell(theirs: Cell) -> str:
    return f"{theirs[0]:g}/{theirs[1]:g}"


def _table_5(rate: RateOf, sizes: Sizes) -> Table:
    models: tuple[tuple[str, float], ...] = (("Reg", 0.6), ("Det", 0.95), ("Det-WL", 0.95))
    rows = [
        (
            f"{model} ({t:g})",
            *(
                _cell(rate(job_name(model, events=events), t), theirs)
                for events, theirs in zip(sizes.events, published.TABLE_5[f"{model} ({t:g})"], strict=True)
            ),
            "",
        )
        for model, t in models
    ]
    blank = ("",) * len(sizes.events)
    rows.append(("BC (0.5)", *blank, _cell(rate(job_name("BC", negatives="1to1"), 0.5), (91.4, 40.8))))
    rows.append(("Reg-NS (0.35)", *blank, _cell(rate(job_name("Reg-NS", negatives="1to1"), 0.35), (90.1, 31.5))))
    header = ("model", *(f"{_size(e)} events" for e in sizes.events), "all, with negatives 1:1")
    return Table("5", "numbers of events", header, tuple(rows))


def _size(value: int | None) -> str:
    return "all" if value is None else f"{value:,}"


def _table_6(rate: RateOf, sizes: Sizes) -> Table:
    jobs = [job_name("Reg-NS", negatives=f"{n}neg") for n in sizes.negatives]
    jobs.append(job_name("Reg-NS", negatives="1to1"))
    rows = [
        (f"Reg ({t:g})", _cell(rate(job_name("Reg"), t), theirs), *("" for _ in jobs))
        for t, theirs in ((0.6, (75.8, 53.3)), (0.7, (6.9, 3.6)))
    ]
    rows += [
        (
            f"Reg-NS ({t:g})",
            "",
            *(_cell(rate(job, t), theirs) for job, theirs in zip(jobs, published.TABLE_6[t], strict=True)),
        )
        for t in REG_THRESHOLDS
    ]
    header = ("model (threshold)", "0", *(f"{n:,}" for n in sizes.negatives), "as many as events")
    return Table("6", "numbers of negatives, all events", header, tuple(rows))


def _table_7(rate: RateOf) -> Table:
    rows = [
        (
            f"Reg-NS ({t:g})",
            *(
                _cell(rate(job_name("Reg-NS", negatives=ratio_name(r)), t), theirs)
                for r, theirs in zip(RATIOS, published.TABLE_7[t], strict=True)
            ),
        )
        for t in REG_THRESHOLDS
    ]
    models: tuple[str, ...] = ("Det-NS", "Det-NS-WL")
    rows += [
        (
            f"{model} (0.95)",
            *(
                _cell(rate(job_name(model, negatives=ratio_name(r)), 0.95), theirs)
                for r, theirs in zip(RATIOS, published.TABLE_7_DET[model], strict=True)
            ),
        )
        for model in models
    ]
    return Table("7", "negatives a positive", ("model (threshold)", *(f"{r:g}:1" for r in RATIOS)), tuple(rows))


def _table_8(cell: Callable[[str, Cell], str], sizes: Sizes, number: str, measure: str) -> Table:
    rows = []
    for model, positions in sizes.backbones.items():
        published_rows = dict(zip(BACKBONE_MODELS[model], published.TABLE_8[model], strict=True))
        for position in positions:
            theirs = published_rows[position]
            events = sizes.events[position]
            sources = [f"from-{job_name('Reg', events=e)}" for e in sizes.events]
            jobs = [*(job_name(model, events=events, backbone=s) for s in sources), job_name(model, events=events)]
            cells = (cell(job, figure) for job, figure in zip(jobs, theirs, strict=True))
            rows.append((f"{model} {_size(events)}", *cells))
    header = ("detector", *(f"Reg {_size(e)}" for e in sizes.events), "without transfer")
    return Table(number, f"detectors from the backbone of a Reg run, {measure}", header, tuple(rows))


def _table_9(rate: RateOf, seeds: Seeds) -> Table:
    jobs = [job_name(m, negatives="1to1" if "NS" in m else "") for m in DET_MODELS]
    rows = [
        (f"{t:g}", *(_cell(rate(job, t), theirs) for job, theirs in zip(jobs, published.TABLE_9[t], strict=True)))
        for t in DET_THRESHOLDS
    ]
    rows.append(("mAP (.50 to .95)", *(f"{np.mean([o[job].map_50_95 for o in seeds]):.3f}" for job in jobs)))
    return Table("9", "thresholds of the detectors", ("threshold", *DET_MODELS), tuple(rows))


def _naive(rate: RateOf, seeds: Seeds) -> Table:
    pairs = [("Reg-NS 1:1", job_name("Reg-NS", negatives="1to1"), 0.35), ("Det", job_name("Det"), 0.95)]
    rows = [
        (
            f"{name} ({t:g})",
            str(rate(job, t)),
            str(rate(f"{job}_naive", t)),
            f"{seeds[0][job].samples:,}",
            f"{seeds[0][f'{job}_naive'].samples:,}",
            f"{seeds[0][f'{job}_naive'].training_seconds / max(seeds[0][job].training_seconds, 1e-9):.2f}",
        )
        for name, job, t in pairs
    ]
    header = ("model", "event first", "naive", "sub-tiles seen", "naive: sub-tiles seen", "naive: times the seconds")
    return Table("(4.2)", "naive aggregation against the sampling strategy", header, tuple(rows))
