"""What identifies a result: the slide, the options, the models and this software."""

import hashlib
import json

from serving import __version__
from serving.core.modelcard import ModelCard
from serving.core.options import ScoringOptions
from serving.core.report import SCHEMA_VERSION
from serving.scoring.batch_sizes import find_rounding


def options_text(options: ScoringOptions) -> str:
    """The options as JSON with sorted keys, the same for the same options."""
    return json.dumps(options.model_dump(mode="json"), sort_keys=True)


def decode_options(text: str) -> ScoringOptions:
    """The options that `options_text` wrote, of this release or of an earlier one that had fewer."""
    return ScoringOptions.model_validate_json(text)


def request_key(sha256: str, options: ScoringOptions) -> str:
    """Hash of slide, options and this software."""
    return digest([sha256, json.loads(options_text(options)), __version__, SCHEMA_VERSION])


def models_key(cards: list[ModelCard], provider: str) -> str:
    """Hash of all that models are and were set to, and of what `provider` rounds to where it rounds more than others."""
    rounded = find_rounding(provider)
    return digest([*(card.model_dump(mode="json") for card in cards), *([rounded] if rounded else [])])


def digest(value: object) -> str:
    """SHA-256 of the value's JSON with sorted keys, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
