"""What a version of a model is called, what makes it that version, and why one is refused."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from pydantic import ValidationError

from serving.core.errors import MitoserveError, ModelError, RequestError
from serving.core.modelcard import ModelCard
from serving.core.validation import describe_problem


class VersionRefusedError(MitoserveError):
    """A version may not serve on this machine; the message says why."""

    slug = "model-refused"


class RegistryError(MitoserveError):
    """What is asked for does not go with what is kept: versions never change, and what serves is not taken away."""

    slug = "model-conflict"


class GoldenSetError(RegistryError):
    """The golden set cannot be used; the message says what of it and what to do."""

    slug = "model-conflict"


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_VERSION = re.compile(r"\d{1,9}(\.\d{1,9}){0,4}")


@dataclass(frozen=True, slots=True)
class VersionId:
    """A version that never changes: the digest is of its card, which states the hash of every other file."""

    name: str
    version: str
    digest: str
    """SHA-256 of card.json."""

    @property
    def label(self) -> str:
        """`det@1.1.0`."""
        return f"{self.name}@{self.version}"

    @classmethod
    def from_card(cls, card: bytes) -> tuple[Self, ModelCard]:
        """The version that the bytes of a card are of, and the card; raises `ModelError`."""
        try:
            stated = ModelCard.model_validate_json(card)
        except ValidationError as error:
            raise ModelError(f"it is not a valid model card: {describe_problem(error, otherwise='card')}") from error
        if not (_NAME.fullmatch(stated.name) and _VERSION.fullmatch(stated.version)):
            raise ModelError(
                f"a card names {stated.name[:80]!r}, version {stated.version[:80]!r}; names are like reg-ns, versions like 1.2.0"
            )
        return cls(stated.name, stated.version, hashlib.sha256(card).hexdigest()), stated


def parse_label(text: str) -> tuple[str, str]:
    """Name and version of `det@1.1.0`; raises `RequestError`."""
    name, _, version = text.partition("@")
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
        raise RequestError(f"{text[:80]!r} names no version of a model; write it like det@1.1.0")
    return name, version
