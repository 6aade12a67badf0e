"""Memory that is free but not given back."""

import ctypes


def give_back_memory() -> None:
    """Give what is free to the system (malloc_trim(3)): C libraries keep the room of models that are gone. Else nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
