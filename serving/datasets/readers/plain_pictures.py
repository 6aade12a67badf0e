"""Pictures that nobody labelled: a folder of them. They lend their stains, and wait for labels."""

from collections.abc import Iterator

from serving.datasets.import_report import ImportReport
from serving.datasets.readers.registry import reader
from serving.datasets.readers.source import Source
from serving.datasets.store import Dataset, Picture

FORMAT = "pictures"


@reader(FORMAT, summary="folder of pictures without labels, also in folders below it", takes="folder")
def read_plain_pictures(source: Source, report: ImportReport) -> Dataset:
    """All pictures of a folder, unlabelled. Each is a slide and a patient of its own, named after the data set and its path.

    Raises
    ------
    FormatError
        If a picture does not open.
    """
    return source.dataset(FORMAT, _pictures(source, report))


def _pictures(source: Source, report: ImportReport) -> Iterator[Picture]:
    for path in source.pictures.all():
        name = source.pictures.relative(path)
        sized = source.picture(report, name, where=name)
        if sized is not None:
            known = sized.fields()
            yield Picture(**known, slide=known["id"], patient=f"{source.name}/{known['id']}", labelled=False)
