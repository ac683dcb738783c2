"""The kinds of world that there are, and worlds by the name of a task.

Adding a kind is a module with its `Kind` and one line here.
"""

from __future__ import annotations

from clrobot.envs.worlds.envpool_kind import EnvPoolKind
from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.envs.worlds.kind import Kind
from clrobot.envs.worlds.native import Native
from clrobot.errors import UserError, nearest, shown

KINDS: tuple[Kind, ...] = (Native(), GymnasiumKind(), EnvPoolKind())


def kind_of(task: str) -> Kind:
    """Return the kind of world that a task's name belongs to: what stands before its colon, or the native kind.

    Raises:
        UserError: there is no such kind.
    """
    prefix = task.partition(":")[0] if ":" in task else ""
    for kind in KINDS:
        if kind.prefix == prefix:
            return kind
    known = [f"{kind.prefix}:" for kind in KINDS if kind.prefix]
    raise UserError(f"task {shown(task)}: unknown kind of world {shown(prefix)}{nearest(f'{prefix}:', known)}")


def is_native(task: str) -> bool:
    """Return whether a task's name is of clrobot's own kind, whether or not there is such a task."""
    return ":" not in task
