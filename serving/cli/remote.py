"""`mitoserve score --server`: the slides go to a server and its results come back; no models are needed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.client import Client
from serving.client.effects import OnProgress
from serving.core.report import Report
from serving.exports import EXPORTS


def score_at(
    client: Client, slide: Path, folder: Path, options: Mapping[str, Any], *, on_progress: OnProgress
) -> Report:
    """The report of a slide that a server scored, after every export was written into `folder`.

    Raises
    ------
    ClientError
        If the server refuses, cannot be reached or fails.
    """
    stored = client.upload(slide, on_progress=on_progress)
    analysis = client.start(stored, **options)
    client.wait(analysis, on_progress=on_progress)
    for name, export in EXPORTS.items():
        if not export.usual:
            continue
        client.download(analysis, name, folder / export.file_name)
    return Report.model_validate_json((folder / EXPORTS["report"].file_name).read_bytes())
