"""Every route and who may call it, asked of the app: `python -m tests.integration.access_matrix` writes the docs' table."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from serving.access.access import open_access
from serving.api.app import create_app
from serving.settings import Settings
from tests.clients import LocalClient, bearer
from tests.fakes import DotDetector

DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
START, END = "<!-- matrix: written by make access -->\n", "<!-- end of matrix -->"

CALLERS = ("no key", "wrong key", "read key", "owner's key", "other owner's key", "admin key")
"""The keys of an owner and another have the scope `score`."""

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_SHUT_OUT = {401: "who are you?", 403: "may not", 404: "not there"}


@dataclass(frozen=True, slots=True)
class Line:
    """One route's answers."""

    method: str
    template: str
    answers: dict[str, str] = field(default_factory=dict)


def matrix() -> list[Line]:
    """The answer of every route to every caller: how it shuts out, or `yes`."""
    with tempfile.TemporaryDirectory() as scratch, _app(Path(scratch)) as (client, tokens):
        paths = client.get("/openapi.json").json()["paths"]
        lines = [Line(m, t) for t in paths for m in _METHODS if m in paths[t]]
        for line in lines:
            for caller in CALLERS:
                address = re.sub(r"\{\w+\}", lambda match: _NAMES[match.group()], line.template)
                headers = bearer(tokens[caller]) if caller in tokens else {}
                response = client.request(line.method.upper(), address, headers=headers)
                line.answers[caller] = _word(response)
        return lines


def table(lines: list[Line]) -> str:
    """The lines as a table in Markdown."""
    rows = [("route", *CALLERS), ("---",) * (len(CALLERS) + 1)]
    rows += [(f"`{li.method.upper()} {li.template}`", *(li.answers[c] for c in CALLERS)) for li in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def documented(text: str, lines: list[Line]) -> str:
    """The page `text` with the table in its place."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table(lines)}\n{END}{after}"


_NAMES = {"{name}": "det"}
"""What stands for the parameters of addresses that belong to nobody."""


@contextmanager
def _app(scratch: Path) -> Iterator[tuple[LocalClient, Mapping[str, str]]]:
    settings = Settings(uploads=scratch / "uploads", state=scratch / "state")
    keys = open_access(settings).keys
    tokens = {
        "wrong key": f"mito_{'0' * 12}_{'x' * 43}",
        "read key": keys.create("reader", ["read"])[0],
        "owner's key": keys.create("owner", ["score"])[0],
        "other owner's key": keys.create("other", ["score"])[0],
        "admin key": keys.create("admin", ["admin"])[0],
    }
    with LocalClient(create_app(settings, load=DotDetector), raise_server_exceptions=False) as client:
        while client.get("/readyz").status_code != 200:
            pass  # the planted detector loads in a moment
        yield client, tokens


def _word(response: httpx.Response) -> str:
    return _SHUT_OUT.get(response.status_code, "yes" if response.status_code < 500 else f"broken: {response.text}")


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text(), matrix()))
