"""Requests made up from the OpenAPI document: `python -m benchmarks.requests [EXAMPLES]`, 100 for each route and kind by default.

Prints Schemathesis's report; the exit code is 1 where an answer was a failure of the server's own or is not documented.
"""

import sys
import tempfile
from pathlib import Path

from tests.http_fuzz import fuzz
from tests.quick_models import write_quick_models
from tests.server_process import ServerProcess


def main(arguments: list[str]) -> int:
    """Print the report; gives the exit code."""
    with tempfile.TemporaryDirectory() as name:
        server = ServerProcess(Path(name), write_quick_models(Path(name) / "models")).start()
        found = fuzz(f"http://127.0.0.1:{server.port}", examples=int(arguments[0]) if arguments else 100)
        lived = server.alive()
        server.stop()
    print(found.report)
    print(f"the server {'lived' if lived else 'DIED'}")
    return 0 if lived and not found.failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
