"""What a MANIFEST argument means: a file of slides, or a place where slides are found."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

from serving.cohort.buckets import listed, located, storage_errors
from serving.cohort.dicomweb import NO_CREDENTIAL, Credential, find_series, is_dicomweb
from serving.cohort.entry import is_path
from serving.cohort.errors import CohortError, ManifestError
from serving.cohort.manifest import Manifest, manifest_of, read_manifest

SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".bif", ".vsf", ".vms", ".vmu")
"""Files that are slides in a folder or a bucket; a folder with .dcm files is one slide. Pictures lie beside slides as
labels and thumbnails, so they are slides only where a manifest or a pattern names them."""
LISTS = (".csv", ".tsv", ".txt", ".lst")
_DICOM = ".dcm"
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
    manifest = manifest_of(iter(sources))
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
        own = {PurePosixPath(file).stem for file in files if file.lower().endswith(".mrxs")}
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in own)
        shown = [file for file in files if not file.startswith(".")]
        if any(file.lower().endswith(_DICOM) for file in shown):
            yield place
        yield from (os.path.join(place, file) for file in sorted(shown) if file.lower().endswith(SUFFIXES))


def _in_bucket(url: str) -> Iterator[str]:
    """Slides below a URL, or those that a pattern in it matches, sorted."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}"
    wild = _PATTERN.search(url)
    keys = sorted(str(meta["path"]) for meta in listed(url[: wild.start()].rpartition("/")[0] if wild else url))
    if wild:
        yield from (f"{root}/{quote(key)}" for key in keys if fnmatchcase(key, url.removeprefix(f"{root}/")))
        return
    own = {key.rpartition(".")[0] + "/" for key in keys if key.lower().endswith(".mrxs")}
    keys = [key for key in keys if "/." not in f"/{key}" and not key.startswith(tuple(own))]
    folders = sorted({key.rpartition("/")[0] for key in keys if key.lower().endswith(_DICOM)})
    yield from (f"{root}/{quote(folder)}/" for folder in folders)
    yield from (f"{root}/{quote(key)}" for key in keys if key.lower().endswith(SUFFIXES))


def _object(url: str) -> bytes:
    store, key = located(url)
    with storage_errors(url):
        return bytes(store.get(key).bytes())
