"""A place where versions lie, <name>/<version>/{card.json, model.onnx, ...}: a folder, or a bucket by way of fsspec."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from serving.core.errors import ModelError
from serving.core.modelcard import ModelCard, load_card
from serving.registry.errors import RegistryError
from serving.registry.version import VersionId

CARD = "card.json"


class ModelStore:
    """The versions below one address."""

    def __init__(self, address: str, cache: Path) -> None:
        """`address`: a folder, or a URL that fsspec knows, such as s3://bucket/models; `cache`: for what is fetched."""
        self.address, self._cache = address, cache

    def numbers(self) -> set[tuple[str, str]]:
        """(name, version) of every folder with a card; the cards are not read."""
        with self._open() as (fs, root):
            places = [PurePosixPath(path).parent for path in fs.glob(f"{root}/*/*/{CARD}")]
        return {(place.parent.name, place.name) for place in places if not place.name.startswith(".")}

    def find(self, name: str, version: str) -> tuple[VersionId, ModelCard] | None:
        """One version with its card; None where it is not here."""
        with self._open() as (fs, root):
            path = f"{root}/{name}/{version}/{CARD}"
            return self._read(fs, path) if fs.exists(path) else None

    def folder(self, wanted: VersionId) -> Path:
        """A local folder with the files of a version, each with the hash that its card states; raises `ModelError`."""
        with self._open() as (fs, root):
            if _is_local(fs):
                folder = Path(root, wanted.name, wanted.version)
            else:
                folder = self._fetch(fs, f"{root}/{wanted.name}/{wanted.version}", wanted)
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
        with self._open() as (fs, root):
            target = f"{root}/{version.name}/{version.version}"
            if fs.exists(f"{target}/{CARD}"):
                raise RegistryError(
                    f"{version.label} is at {self.address} already; versions never change, choose another number"
                )
            files = sorted(path for path in folder.iterdir() if path.is_file())
            if _is_local(fs):
                _put_folder(files, Path(target))
                return
            for path in files:
                if path.name != CARD:
                    fs.pipe_file(f"{target}/{path.name}", path.read_bytes())
            # A version is there when its card is.
            fs.pipe_file(f"{target}/{CARD}", (folder / CARD).read_bytes())

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, str]]:
        """The file system and the root on it, with its errors as `ModelError`."""
        try:
            fs, root = _file_system(self.address)
            fs.invalidate_cache()
            yield fs, root.rstrip("/")
        except (ModelError, RegistryError):
            raise
        except Exception as error:  # every storage raises types of its own that share no base
            raise ModelError(
                f"the models at {self.address} cannot be reached: {type(error).__name__}: {error}"
            ) from error

    def _read(self, fs: Any, path: str) -> tuple[VersionId, ModelCard]:
        place = PurePosixPath(path).parent
        try:
            version, card = VersionId.from_card(fs.cat_file(path))
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        if (version.name, version.version) != (place.parent.name, place.name):
            raise ModelError(f"{path} is the card of {version.label}; move it where its name and version say")
        return version, card

    def _fetch(self, fs: Any, remote: str, wanted: VersionId) -> Path:
        """The cached folder, fetched where it is not complete yet. Its name holds the digest, so what is there never ages."""
        folder = self._cache / wanted.digest / wanted.name / wanted.version
        if folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
        try:
            for path in fs.ls(remote, detail=False):
                fs.get_file(path, str(part / PurePosixPath(path).name))
            load_card(part)
            os.rename(part, folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return folder


def _file_system(address: str) -> tuple[Any, str]:
    """Of a folder or a URL. The client of S3 is obstore: one library in Rust, which brings nothing else along."""
    if address.startswith("s3://"):
        try:
            from obstore.fsspec import register  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ModelError(f"{address} needs the extra s3: pip install mitoserve[s3]") from error
        register("s3")
    found: tuple[Any, str] = fsspec.core.url_to_fs(address)
    return found


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _put_folder(files: list[Path], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        part.chmod(0o755)
        for path in files:
            shutil.copyfile(path, part / path.name)
        os.rename(part, target)
    except OSError:
        if target.is_dir():
            raise RegistryError(f"{target} was written meanwhile; versions never change") from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
