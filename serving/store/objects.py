"""An object store that several servers share: folders by name, each of which is there whole or not at all.

The files of a folder are objects `<name>/<number>`; `<name>.json` says which file each of them is. It is written last and
removed first, so a folder is there exactly when that object is. Names of files stay out of the store's listings.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from serving.core.errors import BusyError
from serving.settings import SettingsError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

INDEX = ".json"
_CHUNK_BYTES = 8 * 2**20
_CLIENT = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "12h"}
"""A slide takes as long as it takes, but a minute without a byte is a fault."""
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


class ObjectsError(BusyError):
    """The object store does not answer, or not as it should; what needs it waits."""

    slug = "busy"


class ObjectFolders:
    """The objects below one address."""

    def __init__(self, address: str) -> None:
        """`address`: a folder, or a URL that obstore knows, such as s3://bucket/mitoserve."""
        self.address = address
        self._store = _open_store(address)

    def put(self, folder: Path, name: str) -> None:
        """Write the files of `folder`, and then that they are there.

        Raises
        ------
        ObjectsError
            If they cannot be written, or somebody removed some meanwhile.
        """
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        index: list[tuple[str, int]] = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in files]
        with self._translate_errors(missing=ObjectsError):
            for number, path in enumerate(files):
                self._store.put(f"{name}/{number:06}", path)
            self._store.put(name + INDEX, json.dumps({"files": index, "sha256": _checksum(index)}).encode())
            there = dict(self._below(f"{name}/"))
        if there != {f"{name}/{number:06}": size for number, (_, size) in enumerate(index)}:
            raise ObjectsError(f"{name} at {self.address} changed while it was written; try again")

    def size(self, name: str) -> int:
        """Bytes of the files of a folder; raises `FileNotFoundError` where it is not there."""
        return sum(size for _, size in self._index(name))

    def fetch(self, name: str, folder: Path, *, going: Callable[[], None]) -> None:
        """Write the files of a folder into the new `folder`.

        going : called every few megabytes, to raise where nobody waits any more

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        folder.mkdir(mode=0o700, parents=True)
        for number, (relative, size) in enumerate(self._index(name)):
            path = folder / _inside(relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(f"{name}/{number:06}", path, going)
            if path.stat().st_size != size:
                raise ObjectsError(
                    f"{name} at {self.address} came with {path.stat().st_size} of {size} bytes; try again"
                )

    def put_file(self, path: Path, name: str) -> None:
        """Write one file under a name of its own; it is there whole or not at all."""
        with self._translate_errors(missing=ObjectsError):
            self._store.put(name, path)

    def fetch_files(self, name: str, folder: Path) -> None:
        """Write what `put_file` gave names below `name` into `folder`, but for what is there already."""
        with self._translate_errors():
            missing = [path for path, _ in self._list(name) if not (folder / PurePosixPath(path).name).exists()]
        for path in missing:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = folder / f".{PurePosixPath(path).name}.part"
            self._fetch(path, part, _nobody_asks)
            part.replace(folder / PurePosixPath(path).name)

    def remove(self, name: str) -> None:
        """Remove a folder, or all files below a name; nothing where there is none."""
        with self._translate_errors():
            found = [path for path, _ in self._list(name)]
            for path in sorted(found, key=lambda path: path != name + INDEX):
                with suppress(FileNotFoundError):  # another server was quicker
                    self._store.delete(path)

    def names(self, kind: str, name_of: Callable[[str], str]) -> dict[str, frozenset[tuple[str, int]]]:
        """(path, bytes) of all objects below `kind`, by `parse_file_name` of their path."""
        found: dict[str, set[tuple[str, int]]] = {}
        with self._translate_errors():
            for path, size in self._below(f"{kind}/"):
                found.setdefault(name_of(path), set()).add((path, size))
        return {name: frozenset(objects) for name, objects in found.items()}

    def list_objects(self, name: str) -> frozenset[tuple[str, int]]:
        """(path, bytes) of the objects of a folder as they are now."""
        with self._translate_errors():
            return frozenset(self._list(name))

    def read(self, name: str) -> bytes | None:
        """A small object; None where it is not there."""
        with self._translate_errors():
            try:
                return bytes(self._store.get(name).bytes())
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """Write a small object."""
        with self._translate_errors(missing=ObjectsError):
            self._store.put(name, content)

    def _index(self, name: str) -> list[tuple[str, int]]:
        content = self.read(name + INDEX)
        if content is None:
            raise FileNotFoundError(f"{name} is not at {self.address} any more")
        try:
            stated = json.loads(content)
            files = [(str(path), int(size)) for path, size in stated["files"]]
            if stated.get("sha256", _checksum(files)) == _checksum(files):  # earlier releases wrote none
                return files
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        raise FileNotFoundError(f"the list of files of {name} at {self.address} is damaged")

    def _fetch(self, path: str, target: Path, going: Callable[[], None]) -> None:
        with target.open("wb") as file:
            for chunk in self._chunks(path):
                going()
                file.write(chunk)

    def _chunks(self, path: str) -> Iterator[Any]:
        with self._translate_errors():
            yield from self._store.get(path).stream(min_chunk_size=_CHUNK_BYTES)

    def _list(self, name: str) -> Iterator[tuple[str, int]]:
        """The objects of a folder: the one that says that it is there, and those below its name."""
        with suppress(FileNotFoundError):
            yield name + INDEX, self._store.head(name + INDEX)["size"]
        yield from self._below(f"{name}/")

    def _below(self, prefix: str) -> Iterator[tuple[str, int]]:
        for batch in self._store.list(prefix):
            for found in batch:
                yield found["path"], found["size"]

    @contextmanager
    def _translate_errors(self, *, missing: type[Exception] = FileNotFoundError) -> Iterator[None]:
        """The store's errors as `ObjectsError`; what is not there is raised as `missing` says."""
        try:
            yield
        except Exception as error:  # some are OSErrors of Python's, such as one for a key that was revoked
            if isinstance(error, missing):
                raise
            reason = str(error).strip().splitlines()[0][:200]
            raise ObjectsError(
                f"the object store {self.address} does not answer ({reason}); try again later"
            ) from error


def _checksum(files: Sequence[tuple[str, int]]) -> str:
    """SHA-256 of a folder's list of files."""
    return hashlib.sha256(json.dumps([list(file) for file in files]).encode()).hexdigest()


def _open_store(address: str) -> "ObjectStore":
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
        from obstore.store import from_url  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(f"MITOSIS_OBJECTS={address} needs the extra s3: pip install mitoserve[s3]") from error
    try:
        if "://" not in address or address.startswith("file://"):
            folder = Path(address.removeprefix("file://"))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return from_url(folder.as_uri(), automatic_cleanup=True)
        # Options that are stated here take the place of all that the environment states.
        plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
        options: Any = {"client_options": {**_CLIENT, "allow_http": plain}, "retry_config": _RETRIES}
        found: ObjectStore = from_url(address, **options)
        return found
    except (BaseError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise SettingsError(f"MITOSIS_OBJECTS={address} cannot be used: {reason}") from error


def _inside(relative: str) -> PurePosixPath:
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts:
        raise ObjectsError(f"the object store names a file {relative[:80]!r}, which leads elsewhere")
    return path


def _nobody_asks() -> None:
    """What is small is fetched to its end."""
