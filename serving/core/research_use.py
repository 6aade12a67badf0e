"""What every output says; a module of its own, since `mitoserve --help` says it too and loads nothing else."""

from typing import Final

RESEARCH_USE: Final = "For Research Use Only. Not for use in diagnostic procedures."
