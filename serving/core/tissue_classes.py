"""Classes of tissue that a segmentation model tells apart, and what each means for counts."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TissueUse = Literal["within", "exclude", "shown"]
"""`within`: figures count inside, and inside other classes of this use, alone; `exclude`: they do not count inside; `shown`: counts do not
depend on it."""


class TissueClass(BaseModel):
    """A class of a segmentation model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="Such as Tumor; people read it.")
    use: TissueUse = Field(
        description="`within`: figures are counted inside, and inside others of this use, alone; `exclude`: they are not; `shown`: counts do "
        "not depend on it."
    )


def check_classes(classes: Sequence[TissueClass]) -> None:
    """Make sure that classes have names of their own and bound something.

    Raises
    ------
    ValueError
        If two have one name, or none is counted in or left out.
    """
    names = [one.name for one in classes]
    if len(set(names)) != len(names):
        raise ValueError("two tissue_classes have one name")
    if all(one.use == "shown" for one in classes):
        raise ValueError("none of tissue_classes bounds counts: state within or exclude as the use of one")
