"""What the words of annotation files mean to training: figures, look-alikes and areas that were looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.core.annotations import MITOTIC, REVIEWED, normalize_class
from serving.datasets.import_report import FormatError

Label = Literal["mitotic figure", "look-alike"]

_LOOK_ALIKE = frozenset(
    {
        "not mitotic figure",
        "non-mitotic figure",
        "non mitotic figure",
        "not mitosis",
        "no mitosis",
        "non-mitosis",
        "nonmitosis",
        "nonmitoses",
        "mitosis: rejected",
        "rejected",
        "look-alike",
        "mitosis look-alike",
        "mitotic figure look-alike",
        "mitotic figures look-alike",
        "mitosis-like",
        "mitosislike",
        "hard negative",
        "hard negative look-alike",
        "imposter",
    }
)


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names by meaning, lower case: those that published data use, and those that a caller adds."""

    mitotic: frozenset[str] = MITOTIC
    look_alike: frozenset[str] = _LOOK_ALIKE
    reviewed: frozenset[str] = REVIEWED
    """See `REVIEWED`."""

    def with_more(self, *, mitotic: list[str], look_alike: list[str]) -> "ClassNames":
        """These names and more of them; a name keeps no earlier meaning.

        Raises
        ------
        ValueError
            If a name is given both meanings.
        """
        figures, others = ({normalize_class(n) for n in names} for names in (mitotic, look_alike))
        if both := figures & others:
            raise ValueError(f"the class {sorted(both)[0]!r} cannot mean both a mitotic figure and a look-alike")
        return ClassNames(
            (self.mitotic | figures) - others, (self.look_alike | others) - figures, self.reviewed - figures - others
        )

    def find_label(self, name: str) -> Label | None:
        """The label that a class name means, None for any other class."""
        if normalize_class(name) in self.mitotic:
            return "mitotic figure"
        return "look-alike" if normalize_class(name) in self.look_alike else None

    def check(self, path: Path, where: str, names: list[str]) -> None:
        """Make sure that one of a file's class names means a mitotic figure: else all its figures would be lost.

        Raises
        ------
        FormatError
            If none does.
        """
        if not any(self.find_label(name) == "mitotic figure" for name in names):
            listed = ", ".join(repr(n) for n in sorted(set(names))) or "none"
            raise FormatError(
                path, where, f"no class means a mitotic figure (classes: {listed}); name it with --mitotic"
            )
