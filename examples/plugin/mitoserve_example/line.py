"""counts.txt: one line with the slide's name, its count and the count per mm2, for a spreadsheet or a log."""

from serving.core.words import RESEARCH_USE
from serving.exports.export import EXPORTS, Export, whole
from serving.scoring.analysis import Analysis


def to_line(analysis: Analysis) -> bytes:
    """The line, UTF-8, fields parted by tabs."""
    report = analysis.report
    density = report.counts.per_mm2
    fields = (
        report.slide.name,
        report.counts.mitotic_figures,
        "no tissue" if density is None else density,
        RESEARCH_USE,
    )
    return ("\t".join(map(str, fields)) + "\n").encode()


EXPORTS.add("counts", Export("counts.txt", "counts.txt", "application/vnd.example.counts", whole(to_line)))
