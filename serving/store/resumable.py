"""Uploads that may be cut and go on, by the rules of tus 1.0: what was received lies in a file whose size is the offset."""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from serving.core.errors import BusyError, MitoserveError
from serving.settings import ServerSettings
from serving.store.database import Database
from serving.store.errors import NotFoundError, QuotaError
from serving.store.places import UPLOADS
from serving.store.quotas import check_quota
from serving.store.received_slides import store_received_file
from serving.store.slide_rows import StoredSlide
from serving.store.slides import SlideStore
from serving.store.tables import uploads

ALGORITHMS = ("sha1", "md5", "sha256")
"""Checksums that a client may send; tus demands the first."""


class UploadGoneError(MitoserveError):
    """The upload has expired."""

    slug = "upload-gone"


class UploadElsewhereError(MitoserveError):
    """What was received lies on the disk of another server."""

    slug = "upload-elsewhere"


class OffsetError(MitoserveError):
    """The client would write somewhere else than where the upload ends."""

    slug = "offset-conflict"


class ChecksumError(MitoserveError):
    """What arrived is not what the client sent."""

    slug = "checksum-mismatch"


class UploadLockedError(MitoserveError):
    """Another request writes to the upload."""

    slug = "upload-locked"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as it stands."""

    id: str
    owner: str
    name: str
    length: int
    offset: int
    metadata: str
    expires_at: float
    sha256: str | None
    """Of the slide that it became."""

    @property
    def complete(self) -> bool:
        """Whether every byte is here."""
        return self.offset == self.length


class Uploads:
    """The resumable uploads of one state folder."""

    def __init__(self, database: Database, slides: SlideStore, settings: ServerSettings) -> None:
        self._database, self._slides, self._settings = database, slides, settings
        self._folder = settings.state / UPLOADS
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, *, owner: str, name: str, length: int, metadata: str) -> Upload:
        """A new upload of `length` bytes, for which there is room.

        Raises
        ------
        QuotaError
            If the owner may not keep so many.
        """
        self._slides.check_room(length)
        upload_id = uuid.uuid4().hex
        (self._folder / upload_id).mkdir(mode=0o700)
        (self._folder / upload_id / "part").touch()
        values = {"id": upload_id, "owner": owner, "name": name, "length": length, "metadata": metadata}
        try:
            with self._database.writing() as tx:
                check_quota(tx, self._settings, owner, length)
                tx.execute(insert(uploads).values(values | {"expires_at": self._expiry()}))
        except QuotaError:
            shutil.rmtree(self._folder / upload_id, ignore_errors=True)
            raise
        return self.get(upload_id, owner=owner)

    def get(self, upload_id: str, *, owner: str | None) -> Upload:
        """The upload as it stands.

        Raises
        ------
        NotFoundError, UploadGoneError, UploadElsewhereError
            If there is none, it has expired, or another server receives it.
        """
        mine = uploads.c.id == upload_id if owner is None else (uploads.c.id == upload_id) & (uploads.c.owner == owner)
        with self._database.reading() as tx:
            row = tx.execute(select(uploads).where(mine)).first()
        if row is None:
            raise NotFoundError(f"no upload {upload_id[:80]!r}; begin one with POST /v1/uploads")
        if row.expires_at < time.time() and row.sha256 is None:
            raise UploadGoneError("the upload has expired; begin another with POST /v1/uploads")
        offset = row.length if row.sha256 else self._count_received(row.id)
        return Upload(row.id, row.owner, row.name, row.length, offset, row.metadata, row.expires_at, row.sha256)

    def _count_received(self, upload_id: str) -> int:
        """Bytes of an upload that are here."""
        part = self._folder / upload_id / "part"
        if part.exists():
            return part.stat().st_size
        if self._settings.objects is None:
            return 0
        raise UploadElsewhereError(
            "another server has what was received of this upload; send its requests to the server that began it, or begin "
            "another with POST /v1/uploads"
        )

    @contextmanager
    def writing(self, upload: Upload) -> Iterator["UploadPart"]:
        """The end of the upload's file, for one writer at a time.

        Raises
        ------
        UploadLockedError
            If another request writes to it.
        """
        path = self._folder / upload.id / "part"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except FileNotFoundError as error:
            raise UploadGoneError("the upload was ended; begin another with POST /v1/uploads") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield UploadPart(handle, upload.length)
        except BlockingIOError as error:
            raise UploadLockedError("another request writes to this upload; wait for it to end") from error
        finally:
            os.close(handle)

    def extend(self, upload: Upload) -> float:
        """Put the expiry off; gives the new one."""
        expires_at = self._expiry()
        with self._database.writing() as tx:
            tx.execute(update(uploads).where(uploads.c.id == upload.id).values(expires_at=expires_at))
        return expires_at

    def finish(self, upload: Upload) -> StoredSlide:
        """The slide that a complete upload becomes.

        Raises
        ------
        MitoserveError
            If the content is no slide; the upload is then ended. If it unpacks to more than its owner may keep, it stays.
        """
        folder = self._folder / upload.id
        try:
            with self.writing(upload):
                stored = store_received_file(
                    self._slides,
                    folder / "part",
                    owner=upload.owner,
                    name=upload.name,
                    max_bytes=self._settings.max_upload_bytes,
                    upload=upload.id,
                )
        except MitoserveError as error:
            if not isinstance(error, UploadLockedError | BusyError | QuotaError):
                self.end(upload)
            raise
        with self._database.writing() as tx:
            tx.execute(update(uploads).where(uploads.c.id == upload.id).values(sha256=stored.sha256))
        shutil.rmtree(folder, ignore_errors=True)
        return stored

    def end(self, upload: Upload) -> None:
        """Forget an upload and what was received; a slide that it became stays."""
        with self._database.writing() as tx:
            tx.execute(delete(uploads).where(uploads.c.id == upload.id))
        shutil.rmtree(self._folder / upload.id, ignore_errors=True)

    def sweep(self, now: float) -> int:
        """End every upload that has expired; gives how many."""
        with self._database.writing() as tx:
            expired = uploads.c.expires_at < now
            ids = tx.execute(select(uploads.c.id).where(expired)).scalars().all()
            tx.execute(delete(uploads).where(expired))
        for upload_id in ids:
            shutil.rmtree(self._folder / upload_id, ignore_errors=True)
        return len(ids)

    def _expiry(self) -> float:
        return time.time() + self._settings.upload_expires_s


class UploadPart:
    """The growing file of an upload, open at its end."""

    def __init__(self, handle: int, length: int) -> None:
        self._handle, self._length = handle, length
        self.offset = os.fstat(handle).st_size

    def write(self, data: bytes) -> None:
        """Append; raises `OffsetError` behind the upload's length."""
        if self.offset + len(data) > self._length:
            raise OffsetError(f"the upload has {self._length} bytes, and more were sent")
        view = memoryview(data)
        while view:
            written = os.write(self._handle, view)
            self.offset += written
            view = view[written:]

    def flush(self) -> None:
        """Make sure that the disk has what an answer is about to promise."""
        os.fsync(self._handle)

    def cut(self, offset: int) -> None:
        """Forget what lies behind `offset`."""
        os.ftruncate(self._handle, offset)
        self.offset = offset


def checksum(algorithm: str) -> "hashlib._Hash":
    """A running checksum; MD5 and SHA-1 are tus's choice and guard against accidents only."""
    return hashlib.new(algorithm, usedforsecurity=False)
