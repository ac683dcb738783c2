"""What can be added from outside: ours in an explicit order, then a user's, by name.

A user's own comes in through one of two doors. An installed distribution names it as an entry point, in a group such
as `clrobot.tasks`; it is imported when its name is asked for, or when all are listed. Or code of the user's calls
`register_task` and its like: in a notebook, or in a module that `--import` names. Nothing else imports anything: no
folder is searched, and what a run's files say is only ever looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Generic, TypeVar

from clrobot.errors import UserError, cut, nearest, shown, warn

T = TypeVar("T")

OURS = "clrobot"  # the source of what is not a user's
GIVEN = "__clrobot_import__"  # of a module made of a file: the word that names it on the command line

# Where what is being imported comes from; None: it is registered by itself.
_SOURCE: ContextVar[str | None] = ContextVar("source", default=None)


@contextmanager
def coming_from(source: str) -> Iterator[None]:
    """Note `source` for everything that is registered meanwhile."""
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)


class UnknownName(UserError, KeyError):
    """There is nothing of that name; a `KeyError` too, as a mapping's should be."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show it in quotes


class Registry(Mapping[str, T], Generic[T]):
    """Names and what they stand for: a mapping in which ours come first, and then a user's in the order they came.

    Attributes:
        kind: what one is, for errors: `task`.
        ours: what is not a user's.
    """

    def __init__(self, kind: str, group: str, ours: Mapping[str, T], name_of: Callable[[object], str]) -> None:
        """Hold `ours`; look for a user's in the entry points of `group`.

        Args:
            kind: what one is: `task`.
            group: of entry points: `clrobot.tasks`.
            ours: by name.
            name_of: returns the name of what a user gives, and raises UserError where it cannot be used.
        """
        self.kind = kind
        self.ours = ours
        self._group = group
        self._name_of = name_of
        self._registered: dict[str, T] = {}
        self._sources: dict[str, str] = {}
        self._found: dict[str, EntryPoint] | None = None
        self._broken: dict[str, str] = {}
        self._loading: set[str] = set()

    # --- looking up ------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> T:
        """Return what has this name.

        Raises:
            UnknownName: nothing has; it is a UserError and a KeyError.
        """
        if name in self:
            return self.ours[name] if name in self.ours else self._registered[name]
        if name in self._broken:
            raise UnknownName(f"{self.kind} {shown(name)} cannot be used: {self._broken[name]}")
        raise UnknownName(f"unknown {self.kind} {shown(name)}{nearest(name, self)}")

    def __contains__(self, name: object) -> bool:
        entry = self.installed().get(str(name))
        if entry is not None and name not in self._registered:
            self._load(entry)
        return name in self.ours or name in self._registered

    def __iter__(self) -> Iterator[str]:
        for entry in self.installed().values():
            if entry.name not in self._registered:
                self._load(entry)
        return iter([*self.ours, *self._registered])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def source(self, name: str) -> str:
        """Return where it comes from: clrobot, a distribution's name, or the module that registered it."""
        return OURS if name in self.ours else self._sources[name]

    def distribution(self, name: str) -> Distribution | None:
        """Return the installed distribution that one comes from, or None."""
        entry = self.installed().get(name)
        return None if entry is None or self.source(name) != _distribution(entry) else entry.dist

    def why_broken(self, name: str) -> str | None:
        """Return why what a distribution brings under this name cannot be used, as a clause, or None."""
        return self._broken.get(name)

    def installed(self) -> Mapping[str, EntryPoint]:
        """Return the entry points of installed distributions by name, without importing any.

        Raises:
            UserError: two have one name, or one has a name of ours.
        """
        if self._found is None:
            found: dict[str, EntryPoint] = {}
            for entry in entry_points(group=self._group):
                if entry.name in self.ours:
                    raise UserError(
                        f"{_distribution(entry)} brings a {self.kind} {shown(entry.name)}, which is one of clrobot's "
                        f"own; rename it, or uninstall {_distribution(entry)}"
                    )
                other = found.setdefault(entry.name, entry)
                if other is not entry:
                    raise UserError(
                        f"{_distribution(other)} and {_distribution(entry)} both bring a {self.kind} "
                        f"{shown(entry.name)}; uninstall one of them"
                    )
            self._found = found
        return self._found

    # --- adding ----------------------------------------------------------------------------------------------

    def register(self, item: T) -> str:
        """Add what a user gives, and return its name; the same once more changes nothing.

        What a cell of a notebook has defined is replaced when the cell is run again.

        Raises:
            UserError: it cannot be used, or its name is taken.
        """
        name = self._name_of(item)
        entry = self.installed().get(name)
        source = _SOURCE.get() or _module(item)
        if entry is not None and entry.value == f"{_module(item)}:{getattr(item, '__qualname__', '')}":
            source = _distribution(entry)
        if name in self.ours:
            raise UserError(f"{self.kind} {shown(name)} is one of clrobot's own; give yours another name")
        taken = self._sources.get(name) or (None if entry is None else _distribution(entry))
        old = self._registered.get(name)
        if taken not in (None, source) or (old is not None and not _is_again(item, old, source)):
            raise UserError(f"there already is a {self.kind} {shown(name)}, from {taken}; give yours another name")
        self._registered[name] = item
        self._sources[name] = source
        return name

    def _load(self, entry: EntryPoint) -> None:
        """Import what an entry point names, once; where that fails, a warning says so and the rest goes on."""
        if entry.name in self._broken:
            return
        source, within = _distribution(entry), entry.name in self._loading
        self._loading.add(entry.name)
        try:
            with coming_from(source):
                item = entry.load()
                name = self._name_of(item)
                if name != entry.name:
                    raise UserError(f"its entry point {shown(entry.name)} leads to the {self.kind} {shown(name)}")
                self.register(item)
        except (Exception, SystemExit) as error:
            if within:  # asked for by its own module, which has not defined it yet
                return
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._broken[entry.name] = f"{source} is broken ({cut(reason)}); mend or uninstall it"
            self._registered.pop(entry.name, None)
            warn(f"{self.kind} {entry.name} is left out: {self._broken[entry.name]}")
        finally:
            if not within:
                self._loading.discard(entry.name)


def _distribution(entry: EntryPoint) -> str:
    return entry.value if entry.dist is None else entry.dist.name


def _module(item: object) -> str:
    """Return the module that defines a class; an instance does not tell."""
    return item.__module__ if isinstance(item, type) else "__main__"


def _is_again(item: object, old: object, source: str) -> bool:
    """Return whether `item` is `old`, or what the same definition gives when it is run once more."""
    if isinstance(item, type) and isinstance(old, type):
        return (item.__module__, item.__qualname__) == (old.__module__, old.__qualname__)
    return item == old or source == "__main__"
