"""What is wrong with content that does not validate, in one line for people."""

from pydantic import ValidationError


def describe_problem(error: ValidationError, *, skip: int = 0, otherwise: str = "record") -> str:
    """As `locate_problem`, in one text."""
    return ": ".join(locate_problem(error, skip=skip, otherwise=otherwise))


def locate_problem(error: ValidationError, *, skip: int = 0, otherwise: str = "record") -> tuple[str, str]:
    """The first wrong field; what is wrong with it and what was given.

    skip : leading parts of a field's place that the file does not show; otherwise : the name where no part is left
    """
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][skip:]) or otherwise
    given = first["input"]
    shown = first["type"] != "missing" and not isinstance(given, dict | list | tuple)
    return field, first["msg"] + (f" (given: {str(given)[:60]!r})" if shown else "")
