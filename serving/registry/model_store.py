"""A place where versions lie, <name>/<version>/{card.json, model.onnx, ...}: a folder, or a bucket."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.registry.version import RegistryError, VersionId
from serving.store.blob_store import BlobStore, BlobStoreError, fetch_blob
from serving.store.bucket_blob_store import BlobAddressError, open_blob_store

CARD = "card.json"


class ModelStore:
    """The versions below one address."""

    def __init__(self, address: str, cache: Path) -> None:
        """`address`: a folder, or a URL such as s3://bucket/models; `cache`: for what is fetched."""
        self.address, self._cache = address, cache

    def numbers(self) -> set[tuple[str, str]]:
        """(name, version) of every folder with a card; the cards are not read."""
        with self._open() as blobs:
            places = [PurePosixPath(blob.name).parts for blob in blobs.list()]
        return {(place[0], place[1]) for place in places if len(place) == 3 and place[2] == CARD and place[1][0] != "."}

    def find(self, name: str, version: str) -> tuple[VersionId, ModelCard] | None:
        """One version with its card; None where it is not here."""
        path = f"{name}/{version}/{CARD}"
        with self._open() as blobs:
            card = blobs.get(path)
        return None if card is None else self._read(card, name, version)

    def folder(self, wanted: VersionId) -> Path:
        """A local folder with the files of a version, each with the hash that its card states; raises `ModelError`."""
        with self._open() as blobs:
            folder = blobs.path(f"{wanted.name}/{wanted.version}") or self._fetch(blobs, wanted)
        load_card(folder)
        return folder

    def put(self, folder: Path, version: VersionId) -> None:
        """Add a version whose files are in `folder`; it appears whole, or not at all.

        Raises
        ------
        RegistryError
            If there is one of that name and number already.
        ModelError
            If it cannot be written.
        """
        name = f"{version.name}/{version.version}"
        with self._open() as blobs:
            if blobs.head(f"{name}/{CARD}") is not None:
                raise RegistryError(
                    f"{version.label} is at {self.address} already; versions never change, choose another number"
                )
            try:
                blobs.put_folder(folder, name, last=CARD)  # a version is there when its card is
            except FileExistsError as error:
                raise RegistryError(f"{name} was written to {self.address} meanwhile; versions never change") from error

    @contextmanager
    def _open(self) -> Iterator[BlobStore]:
        """The blobs at the address, with their errors as `ModelError`."""
        try:
            yield open_blob_store(self.address)
        except (BlobAddressError, BlobStoreError, OSError) as error:
            raise ModelError(f"the models at {self.address} cannot be reached: {error}") from error

    def _read(self, content: bytes, name: str, version: str) -> tuple[VersionId, ModelCard]:
        path = f"{self.address}/{name}/{version}/{CARD}"
        try:
            found, card = VersionId.from_card(content)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if (found.name, found.version) != (name, version):
            raise ModelError(f"{path} is the card of {found.label}; move it where its name and version say")
        return found, card

    def _fetch(self, blobs: BlobStore, wanted: VersionId) -> Path:
        """The cached folder, fetched where it is not complete yet. Its name holds the digest, so what is there never ages."""
        folder = self._cache / wanted.digest / wanted.name / wanted.version
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            for blob in blobs.list(f"{wanted.name}/{wanted.version}"):
                fetch_blob(blobs, blob.name, part / PurePosixPath(blob.name).name)
            load_card(part)
            os.rename(part, folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder
