"""Things that are known by a name, each registered where it is defined, here or in a package that is installed beside."""

import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar, Generic, Protocol, TypeVar

from serving.core.errors import MitoserveError

T = TypeVar("T")
LAST = 100
"""Rank of what states none."""


class Registry(Mapping[str, T], Generic[T]):
    """Names and what they mean, in the order of registration.

    Parameters
    ----------
    noun
        What is registered, for error messages, e.g. "trunk".
    package
        Package whose modules register themselves when they are imported; they are imported at the first look-up, so
        that a new file is all that a new entry takes.
    group
        Entry point group: modules of installed packages that it names are imported too, so that a plug-in needs no fork.
    """

    def __init__(self, noun: str, package: str | None = None, group: str | None = None) -> None:
        self.noun, self._package, self._group = noun, package, group
        self._entries: dict[str, T] = {}
        self._loaded = self._loading = False
        self._lock = threading.RLock()  # modules that are being imported may look up, too

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers what it decorates.

        Raises
        ------
        ValueError
            If the name is taken.
        """

        def add(entry: T) -> T:
            self.add(name, entry)
            return entry

        return add

    def add(self, name: str, entry: T) -> None:
        """Register `entry`; raises `ValueError` if the name is taken."""
        if name in self._entries:
            raise ValueError(f"there are two {self.noun}s called {name}")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take a name back; raises `KeyError` if it is not registered."""
        del self._entries[name]

    def load(self) -> None:
        """Import all that registers itself, which the first look-up does otherwise: what does not load is said at a start.

        Raises
        ------
        PluginError
            If a plug-in does not load; so does every look-up.
        """
        if self._loaded:
            return
        with self._lock:
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                self._import()
                self._loaded = True
            finally:
                self._loading = False

    def registered(self) -> list[tuple[str, T]]:
        """What is registered so far; nothing is imported."""
        return list(self._entries.items())

    def __getitem__(self, name: str) -> T:
        """The entry; raises `ValueError`, not `KeyError`, so that a command says which names there are."""
        self.load()
        if name not in self._entries:
            raise ValueError(f"no {self.noun} {name}; there are {', '.join(sorted(self._entries))}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self.load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self.load()
        return iter(self._entries)

    def __len__(self) -> int:
        self.load()
        return len(self._entries)

    def _import(self) -> None:
        if self._package is not None:
            for module in pkgutil.iter_modules(import_module(self._package).__path__):
                import_module(f"{self._package}.{module.name}")
        if self._group is not None:
            for plugin in sorted(entry_points(group=self._group), key=lambda found: (found.name, found.value)):
                _load_plugin(plugin, self.noun)


class Ranked(Protocol):
    """What states its place among all of its kind."""

    rank: ClassVar[int]


R = TypeVar("R", bound=type[Ranked])


class RankedRegistry(Registry[R]):
    """Classes by name, in the order of their ranks; of equal ones the first registered comes first."""

    def __iter__(self) -> Iterator[str]:
        names = list(super().__iter__())
        return iter(sorted(names, key=lambda name: self[name].rank))


class PluginError(MitoserveError):
    """A plug-in does not load. What it was to add would be missing without a word."""

    slug = "internal-error"


def _load_plugin(plugin: EntryPoint, noun: str) -> None:
    try:
        plugin.load()
    except Exception as error:
        package = plugin.dist.name if plugin.dist is not None else "an installed package"
        raise PluginError(
            f"the {noun} {plugin.name} of {package} ({plugin.value}) does not load: {error}; mend or uninstall the package"
        ) from error
