"""Who vouches for a version: Ed25519 signatures (RFC 8032) of cards, which in turn state the hash of every other file."""

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from serving.core.errors import ModelError

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
