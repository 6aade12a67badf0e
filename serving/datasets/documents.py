"""JSON files that are checked as they are read."""

import gzip
import zlib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from serving.core.validation import locate_problem
from serving.datasets.import_report import FormatError

_Document = TypeVar("_Document", bound=BaseModel)


def read_document(path: Path, kind: type[_Document]) -> _Document:
    """The content of a JSON file, also a gzipped one.

    Raises
    ------
    FormatError
        If it does not parse or validate; the message names the first wrong key.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return kind.model_validate_json(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FormatError(path, "file", f"is not gzipped text ({error})") from None
    except ValidationError as error:
        raise FormatError(path, *locate_problem(error, otherwise="file")) from None
