"""Schemathesis over the server's whole OpenAPI document; this module is also what it imports for its hooks."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import schemathesis
from schemathesis.transport.serialization import Binary

from serving.api.changes import LONGEST_S

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_headers_conformance", "response_schema_conformance")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run found."""

    failed: bool
    report: str
    """As Schemathesis prints it, with a curl command for each failure."""


@schemathesis.serializer("application/offset+octet-stream")
def piece(_: object, value: object) -> bytes:
    """The bytes of a piece of an upload, a media type that Schemathesis does not know."""
    return value.data if isinstance(value, Binary) else str(value).encode()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A stream that says what changes ends at once: nothing changes meanwhile, and it would wait half a minute each time."""
    if case.operation.path.endswith("/changes") and _may_last(str((case.query or {}).get("longest_s", "1"))):
        case.query = {**(case.query or {}), "longest_s": 0}


def _may_last(seconds: str) -> bool:
    """Whether the server lets a stream be so long; what it is to refuse is asked as it is. A part of the requests state it as text."""
    try:
        return 0 < float(seconds) <= LONGEST_S
    except ValueError:
        return False


def fuzz(base: str, *, examples: int, seed: int = 1) -> Verdict:
    """Ask every route of the server at `base` what its document allows and forbids, and hold the answers to it.

    examples : requests made up for each route and kind, at most; what the server's Location headers link to is followed
    """
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{base}/openapi.json", "--no-color"]
    # One worker: Python 3.11 counts the depth of syntax trees once for all threads (python/cpython#106905), and Hypothesis parses its
    # own source in each.
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", str(seed), "--workers", "1"]
    command += ["--request-timeout", "60", "--generation-database", "none"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": __name__}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return Verdict(done.returncode != 0, done.stdout + done.stderr)
