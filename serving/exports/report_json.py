"""report.json."""

from serving.scoring.analysis import Analysis


def to_json(analysis: Analysis) -> bytes:
    """The report in the order of its schema."""
    return analysis.report.model_dump_json(indent=1).encode() + b"\n"
