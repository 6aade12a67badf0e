"""Where the labelled data lies."""

import os
from pathlib import Path


def data_root() -> Path:
    """The folder named by `MITOSIS_DATA`, by default `../shared/data` beside the checkout.

    Raises
    ------
    FileNotFoundError
        If there is no such folder; the message says what to set.
    """
    root = Path(os.environ.get("MITOSIS_DATA", Path(__file__).parents[2] / "../shared/data")).resolve()
    if not root.is_dir():
        raise FileNotFoundError(f"no labelled data at {root}; set MITOSIS_DATA to the folder that holds icpr2012/")
    return root
