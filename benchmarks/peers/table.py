"""Medians of all rounds, ratios to the fastest peer, and the table of docs/speed.md."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.peers.measure import Tool, ToolRun

_HEAD = (
    "tool", "windows/s", "work, s", "processor, s", "command, s", "its processor, s", "start, s",
    "times the fastest peer", "by processor time",
)  # fmt: skip


def rows(turns: Mapping[str, Sequence[ToolRun]], tools: Sequence[Tool], windows: int) -> list[dict[str, Any]]:
    """Of each tool its medians, and how many times as fast as the fastest peer it was.

    Both ratios are medians of the rounds' own ratios, since what else the machine does changes between rounds. Which peer
    is the fastest is decided by the median, for wall and for processor time apart.

    Raises
    ------
    ValueError
        If there is no peer to compare with.
    """
    peers = [tool.name for tool in tools if tool.peer]
    if not peers:
        raise ValueError("nothing to compare with: name at least one peer")
    fastest = {field: min(peers, key=lambda name: _median(turns[name], field)) for field in ("work", "work_processor")}
    return [
        {
            "tool": tool.name,
            "peer": tool.peer,
            "settings": dict(tool.settings),
            "windows_per_s": windows / _median(turns[tool.name], "work"),
            **{field: _median(turns[tool.name], field) for field in ToolRun.__slots__},
            "start": statistics.median(turn.whole - turn.work for turn in turns[tool.name]),
            "times_fastest": _ratio(turns[fastest["work"]], turns[tool.name], "work"),
            "times_fastest_processor": _ratio(turns[fastest["work_processor"]], turns[tool.name], "work_processor"),
            "turns": [asdict(turn) for turn in turns[tool.name]],
        }
        for tool in tools
    ]


def markdown(found: Sequence[Mapping[str, Any]]) -> str:
    """The table, the slowest first."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" * len(_HEAD) + "|"]
    for row in sorted(found, key=lambda row: row["windows_per_s"]):
        cells = [
            row["tool"],
            f"{row['windows_per_s']:.2f}",
            *(f"{row[name]:.1f}" for name in ("work", "work_processor", "whole", "whole_processor", "start")),
            f"{row['times_fastest']:.2f}",
            f"{row['times_fastest_processor']:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _median(turns: Sequence[ToolRun], field: str) -> float:
    return statistics.median(float(getattr(turn, field)) for turn in turns)


def _ratio(reference: Sequence[ToolRun], turns: Sequence[ToolRun], field: str) -> float:
    return statistics.median(
        float(getattr(theirs, field) / getattr(ours, field)) for theirs, ours in zip(reference, turns, strict=True)
    )
