"""What a MANIFEST argument means: a file of slides, or a place where slides are found."""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from serving.cohort.dicomweb import find_series
from serving.cohort.errors import CohortError, ManifestError, MissingSlideError
from serving.cohort.manifest import Manifest, is_path, make_manifest, read_manifest
from serving.cohort.storage import find_blob, open_below
from serving.core.errors import UnreadableSlideError
from serving.slides.dicomfiles import HEAD_BYTES, group_series, is_dicom
from serving.slides.readers.reader import SLIDE_READERS
from serving.store.blob_store import Blob, BlobStore
from serving.store.dicomweb import NO_CREDENTIAL, Credential, is_dicomweb

LISTS = (".csv", ".tsv", ".txt", ".lst")
_DICOM = ".dcm"
_NEVER_DICOM = (
    ".jpg",
    ".jpeg",
    ".png",
    ".json",
    ".xml",
    ".geojson",
    ".md",
    ".pdf",
    ".zip",
    ".gz",
    ".parquet",
    ".h5",
    ".py",
)
_PATTERN = re.compile(r"[*?\[]")


def manifest_at(argument: str, *, credential: Credential = NO_CREDENTIAL) -> Manifest:
    """The slides that a command line's MANIFEST means.

    A CSV or text list, local or in a bucket; a folder; a pattern such as `slides/**/*.svs`; the address of a bucket or a
    folder in one, or with a pattern; or a DICOMweb service.

    credential : for DICOMweb

    Raises
    ------
    CohortError, ManifestError
        If there is no such thing, it names no slide, or lines of it cannot be used.
    MitoserveError
        If storage or a service cannot be reached.
    """
    if is_dicomweb(argument):
        return _some(find_series(argument, credential=credential), argument)
    if not is_path(argument):
        if argument.lower().endswith(LISTS):
            return read_manifest(_text(_object(argument), argument), base=argument.rpartition("/")[0], name=argument)
        return _some(_in_bucket(argument), argument)
    path = Path(argument)
    if path.is_dir():
        return _some(_in_folder(path.absolute()), argument)
    if path.is_file():
        return read_manifest(_text(path.read_bytes(), argument), base=str(path.absolute().parent), name=argument)
    if _PATTERN.search(argument):
        return _some(sorted(os.path.abspath(found) for found in glob.iglob(argument, recursive=True)), argument)
    raise CohortError(f"there is no manifest, folder or pattern {argument}")


def _some(sources: Iterable[str], where: str) -> Manifest:
    manifest = make_manifest(iter(sources))
    if not manifest.entries:
        raise CohortError(f"there are no slides in {where}")
    return manifest


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name} is no text in UTF-8 (byte {error.start}); save it again as CSV UTF-8") from error


def _in_folder(root: Path) -> Iterator[str]:
    """Slides below a folder, sorted; the data files of a slide are not slides of their own."""
    for place, folders, files in os.walk(root):
        if SLIDE_READERS.owns(Path(place)):
            folders.clear()
            yield place
            continue
        own = {PurePosixPath(file).stem for file in files if SLIDE_READERS.has_folder_beside(file)}
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in own)
        shown = sorted(file for file in files if not file.startswith("."))
        whole = [os.path.join(place, file) for file in shown if _is_slide(file)]
        yield from _dicom_in(Path(place), shown, alone=not folders and not whole)
        yield from whole


def _is_slide(name: str) -> bool:
    """Whether a file is a slide by its name.

    DICOM slides are told by what files hold. Pictures lie beside slides as labels and thumbnails, so they are slides only
    where a manifest or a pattern names them.
    """
    return name.lower().endswith(SLIDE_READERS.suffixes())


def _dicom_in(place: Path, names: Sequence[str], *, alone: bool) -> Iterator[str]:
    """The DICOM slides among files of one folder: the folder itself where it holds one series, else a file of each.

    alone : whether the folder holds no other slides, so that it names this one
    """
    paths = [place / name for name in names if name.lower().endswith(_DICOM) or _may_be_dicom(name)]
    dicom = [path for path in paths if _holds_dicom(path)]
    damaged = [path for path in paths if path.suffix.lower() == _DICOM and path not in dicom]
    try:
        series = group_series(dicom)
    except UnreadableSlideError:
        series, damaged = [], dicom
    if damaged or (len(series) == 1 and alone):
        yield str(place)  # also what cannot be read: its failure is told when it is scored
    else:
        yield from (str(members[0]) for members in series)


def _may_be_dicom(name: str) -> bool:
    """Whether a file's content is looked at: archives name DICOM files by numbers, with any suffix or none."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix not in (*SLIDE_READERS.suffixes(), *LISTS, *_NEVER_DICOM)


def _holds_dicom(path: Path) -> bool:
    if not path.is_file():  # a pipe would not open
        return False
    try:
        with path.open("rb") as handle:
            return is_dicom(handle.read(HEAD_BYTES))
    except OSError:
        return False


def _in_bucket(url: str) -> Iterator[str]:
    """Slides below a URL, or those that a pattern in it matches, sorted."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}"
    wild = _PATTERN.search(url)
    place = url[: wild.start()].rpartition("/")[0] if wild else url
    store, folder = open_below(place), unquote(urlsplit(place).path).strip("/")
    found = {f"{folder}/{blob.name}".lstrip("/"): blob for blob in store.list()}
    keys = sorted(found)
    if wild:
        yield from (f"{root}/{quote(key)}" for key in keys if fnmatchcase(key, url.removeprefix(f"{root}/")))
        return
    own = {key.rpartition(".")[0] + "/" for key in keys if SLIDE_READERS.has_folder_beside(key)}
    keys = [key for key in keys if "/." not in f"/{key}" and not key.startswith(tuple(own))]
    folders = sorted(_dicom_folders(store, {key: found[key] for key in keys}))
    yield from (f"{root}/{quote(folder)}/" for folder in folders)
    yield from (f"{root}/{quote(key)}" for key in keys if _is_slide(key))


def _dicom_folders(store: BlobStore, blobs: Mapping[str, Blob]) -> set[str]:
    """Folders that hold DICOM files: by suffix, or else by the content of the first file with a number for a suffix, or none.

    blobs : of `store`, by their names in the bucket
    """
    found = {key.rpartition("/")[0] for key in blobs if key.lower().endswith(_DICOM)}
    looked: set[str] = set()
    for key, blob in blobs.items():
        folder, _, name = key.rpartition("/")
        suffix = PurePosixPath(name).suffix[1:]
        if folder in found | looked or not (suffix == "" or suffix.isdecimal()):
            continue
        looked.add(folder)
        if blob.size >= HEAD_BYTES and is_dicom(store.get(blob.name, length=HEAD_BYTES) or b""):
            found.add(folder)
    return found


def _object(url: str) -> bytes:
    store, name = find_blob(url)
    content = store.get(name)
    if content is None:
        raise MissingSlideError(f"there is no object {url}")
    return content
