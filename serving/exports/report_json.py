"""report.json."""

from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis


def to_json(analysis: Analysis) -> bytes:
    """The report in the order of its schema."""
    return analysis.report.model_dump_json(indent=1).encode() + b"\n"


EXPORTS.add(
    "report", Export("report.json", "json", "application/json", whole(to_json), usual=True, shows_review=True, rank=0)
)
