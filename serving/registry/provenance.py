"""Who vouches for a version, by Ed25519 signatures (RFC 8032) of cards, which state the hash of every other file; and its licence."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard
from serving.registry.version import VersionRefusedError

SIGNATURE = "card.json.sig"
"""Beside the card: the 64 bytes of its signature."""


def check_signature(folder: Path, signers: Sequence[Path]) -> Path | None:
    """The public key that the card in `folder` was signed with; None where no signature is asked for.

    signers : PEM files of Ed25519 public keys, any of which will do; none: everything is taken

    Raises
    ------
    ModelError
        If there is no signature, or none of the signers made it, or a key cannot be read.
    """
    if not signers:
        return None
    path = folder / SIGNATURE
    if not path.is_file():
        raise ModelError(
            f"{folder / 'card.json'} is not signed: {SIGNATURE} is missing, and MITOSIS_MODEL_SIGNERS asks for it"
        )
    signature, card = path.read_bytes(), (folder / "card.json").read_bytes()
    for signer in signers:
        try:
            _public_key(signer).verify(signature, card)
        except InvalidSignature:
            continue
        return signer
    raise ModelError(f"{path} was made by none of the keys in MITOSIS_MODEL_SIGNERS, or for another card")


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"the key {path} of MITOSIS_MODEL_SIGNERS cannot be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"the key {path} of MITOSIS_MODEL_SIGNERS is not an Ed25519 public key")
    return key


UNSTATED = "unstated"
"""Stands, in the setting, for cards that state no licence."""


def check_licences(cards: Iterable[ModelCard], allowed: Collection[str]) -> None:
    """Make sure that the licence of all weights is one of those allowed, whatever its letters' case; none allowed: any is.

    Raises
    ------
    VersionRefusedError
        If one is not; the message names it and the setting.
    """
    known = {name.casefold() for name in allowed}
    for card in cards if known else ():
        if card.fusion is not None:  # numbers that were chosen here; its detectors have cards of their own
            continue
        licence = card.licence or UNSTATED
        if licence.casefold() not in known:
            stated = f"is under {card.licence}" if card.licence else "states no licence"
            raise VersionRefusedError(
                f"{card.name}@{card.version} {stated}, and MITOSIS_ALLOWED_LICENCES allows {', '.join(allowed)}: add "
                f"{licence} there if its terms suit you, or serve another version"
            )
