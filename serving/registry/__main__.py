"""`python -m serving.registry REQUEST`: check versions in a process of their own; see `subprocesses`. A line of JSON each."""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from serving.core.errors import ModelError
from serving.isolation.limits import end_with_parent
from serving.registry.subprocesses import REFUSED
from serving.registry.version_check import check_version


def main(request: str) -> None:
    """Print what was found of each folder, up to the first that may not serve."""
    end_with_parent(signal.SIGKILL)
    wanted = json.loads(request)
    for folder in wanted["folders"]:
        try:
            found = check_version(
                Path(folder),
                window_s=wanted["window_s"],
                providers=wanted["providers"],
                signers=[Path(signer) for signer in wanted["signers"]],
            )
        except ModelError as error:
            print(json.dumps({REFUSED: str(error)}), flush=True)
            return
        print(json.dumps({"passed": asdict(found)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
