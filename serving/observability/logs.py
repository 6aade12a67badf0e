"""Logs: an object a line, with the ids of the request and the analysis that they are about.

No log line holds the name of a slide, a path from a request, a key or a token: names of slides often name patients. What
is logged on purpose is ids and templates; of unexpected errors, which may say anything, the file names are taken out.
"""

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
analysis_id: ContextVar[str] = ContextVar("analysis_id", default="")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; the rest was given as `extra`."""


def configure_logging(log_format: str) -> None:
    """Send every log record to standard error in the `json` or `text` format, those of the libraries too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mitoserve").setLevel(logging.INFO)
    # BentoML and uvicorn bring handlers of their own, which would print every line again in another form.
    for name in ("bentoml", "circus", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Their line for a request has the address with its query, in which a client may have put a slide's name.
    logging.getLogger("uvicorn.access").disabled = True


@contextmanager
def log_analysis(identifier: str) -> Iterator[None]:
    """Everything logged inside carries the id of this analysis."""
    token = analysis_id.set(identifier)
    try:
        yield
    finally:
        analysis_id.reset(token)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1]:
            line["errors"] = list(describe_error(record.exc_info[1]))
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """A record for people to read."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the errors."""
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        facts = " ".join(f"{name}={value}" for name, value in {**extra, **_ids()}.items())
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        lines = [f"{at} {record.levelname:7} {record.name} {record.getMessage()} {facts}".rstrip()]
        if record.exc_info and record.exc_info[1]:
            for error in describe_error(record.exc_info[1]):
                lines += [f"  {error['type']}: {error['text']}", *(f"    {place}" for place in error["places"])]
        return "\n".join(lines)


def describe_error(error: BaseException) -> Iterator[dict[str, str | list[str]]]:
    """Type, text and places of an error and of those that led to it, newest first; texts without file names."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(cause.__traceback__)]
        yield {"type": type(cause).__qualname__, "text": _text(cause), "places": places}
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return error.strerror or ""
    return str(error)


def _ids() -> dict[str, str]:
    ids = {"request_id": request_id.get(), "analysis_id": analysis_id.get()}
    return {name: value for name, value in ids.items() if value}
