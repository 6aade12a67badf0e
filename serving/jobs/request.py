"""What identifies a result: the slide, the options, the models and this software."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from serving import __version__
from serving.report import SCHEMA_VERSION
from serving.scoring.analysis import CountingOptions, Options
from serving.scoring.pace import rounded_to
from serving.wsi.geometry import Roi
from serving.wsi.modelcard import ModelCard


def options_text(options: Options) -> str:
    """The options as JSON with sorted keys, the same for the same options."""
    values: dict[str, Any] = {
        "mpp": options.mpp,
        "roi": None if options.roi is None else [list(point) for point in options.roi.points],
        "threshold": options.threshold,
        "cascade": options.cascade,
        "min_tissue_fraction": options.min_tissue_fraction,
        "counting": asdict(options.counting),
        "qc": options.qc,
    }
    return json.dumps(values, sort_keys=True)


def options_from(text: str) -> Options:
    """The options that `options_text` wrote, of this release or of an earlier one that had fewer."""
    values = json.loads(text)
    roi, counting = values.pop("roi"), CountingOptions(**values.pop("counting", {}))
    if isinstance(mpp := values.pop("mpp"), list):
        mpp = (float(mpp[0]), float(mpp[1]))
    return Options(
        mpp=mpp, **values, roi=None if roi is None else Roi(tuple((x, y) for x, y in roi)), counting=counting
    )


def request_key(sha256: str, options: Options) -> str:
    """Hash of slide, options and this software."""
    return digest([sha256, json.loads(options_text(options)), __version__, SCHEMA_VERSION])


def models_key(cards: list[ModelCard], provider: str) -> str:
    """Hash of all that models are and were set to, and of what `provider` rounds to where it rounds more than others."""
    rounded = rounded_to(provider)
    return digest([*(card.model_dump(mode="json") for card in cards), *([rounded] if rounded else [])])


def digest(value: object) -> str:
    """SHA-256 of the value's JSON with sorted keys, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
