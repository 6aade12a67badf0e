"""What the fast mode of a cascade keeps and saves, as JSON."""

from pydantic import Field

from serving.core.words import RESEARCH_USE
from training.evaluation.summary import Measured, Part


class ModeFigures(Part):
    """Both modes on the pictures of one source, or of all."""

    source: str
    pictures: int
    figures: int
    found_exact: int = Field(description="Labelled figures that count in the exact mode.")
    kept: Measured = Field(description="Share of those that count in the fast mode too.")
    f1_exact: float
    f1_fast: float
    difference: Measured = Field(description="F1 of the fast mode less that of the exact one.")
    processor_s_exact: float
    processor_s_fast: float


class ModeComparison(Part):
    """Both modes of a cascade, its triage net and threshold those of the fold that never saw the picture's patient."""

    schema_version: str = "1.0"
    models: list[str]
    sources: list[ModeFigures]
    how: str
    research_use: str = RESEARCH_USE
