"""Names of the folders of slides, results and checkpoints: paths below a state folder, and below a bucket's address."""

from sqlalchemy import ColumnElement, Connection, select, true

from serving.store.tables import analyses, blobs

SLIDES, RESULTS, SHADOWS, CHECKPOINTS = "slides", "results", "shadows", "checkpoints"
TILES, UPLOADS, STAMPS = "tiles", "uploads", "stamps"
"""These are in the state folder alone."""
COPY = "copy-"
"""Begins the name of one server's upload of a slide, so that none takes another's for its own."""


def choose_place(sha256: str, main: str) -> str:
    """The name under which a slide is kept whose file to open is `main`: its folder's, or that of a copy in it."""
    copy = main.split("/", maxsplit=1)[0]
    return f"{SLIDES}/{sha256}/{copy}" if copy.startswith(COPY) else f"{SLIDES}/{sha256}"


def list_kept_names(tx: Connection) -> list[str]:
    """Names of the folders of all slides and results that rows name."""
    slides = tx.execute(select(blobs.c.sha256, blobs.c.main).where(~blobs.c.mounted))
    return [*(choose_place(row.sha256, row.main) for row in slides), *result_names(tx, true())]


def result_names(tx: Connection, which: ColumnElement[bool]) -> list[str]:
    """Names of the folders of the results of these analyses."""
    chosen = select(analyses.c.result, analyses.c.shadow).where(which, analyses.c.result.is_not(None)).distinct()
    return [f"{RESULTS if row.shadow is None else SHADOWS}/{row.result}" for row in tx.execute(chosen)]
