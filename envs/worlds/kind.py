"""A kind of world: where environments come from, what is needed to make them, and what they can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.envs.worlds.world import World


class Offer(NamedTuple):
    """One line of `clrobot worlds`; None is what is not known before it is tried."""

    kind: str
    task: str
    horizon: int | None
    observations: int | None
    actions: int | None
    success: str | None  # what tells it
    lacks: str | None  # why it cannot be used, or what it cannot do


class Kind(ABC):
    """Where worlds come from. Adding one is a subclass, and a line in `kinds.KINDS`.

    Attributes:
        prefix: what stands before the colon in a task's name, `gymnasium`; nothing for native tasks.
        saves_state: whether its worlds save their state (see `World.saves_state`).
        snapshot_steps: control steps between two snapshots where they do not, and begin anew at each: what a resumed
            training does again at most.
        lets_go: whether an evaluation's simulations go when it ends, so that one world's are there at a time.
    """

    prefix: ClassVar[str]
    saves_state: ClassVar[bool]
    snapshot_steps: ClassVar[int] = 50_000
    lets_go: ClassVar[bool] = False

    @abstractmethod
    def check(self, task: str) -> None:
        """Raise UserError unless there is a task of that name; nothing is made."""

    def source(self, task: str) -> dict[str, str]:
        """Return where a task comes from: a `distribution` and its `version`, or a `module`; nothing for our own."""
        return {}

    @abstractmethod
    def horizon(self, spec: WorldSpec) -> int:
        """Return the most control steps of an episode, without making anything.

        Raises:
            UserError: its episodes have no end.
        """

    def simulation_bytes(self, task: str) -> int:
        """Return about how much memory one simulation takes; by default what a native task's was measured to."""
        return 200_000

    @abstractmethod
    def examine(self, spec: WorldSpec) -> Measured:
        """Try a world of others', and measure what it needs.

        Raises:
            UserError: it cannot be used; the sentence says why.
        """

    @abstractmethod
    def make(
        self,
        spec: WorldSpec,
        num_envs: int,
        *,
        stagger: bool = False,
        threads: int = 0,
        processes: bool = False,
        draw: int | None = None,
    ) -> World:
        """Return `num_envs` environments.

        Args:
            spec: of a world of others', measured.
            num_envs: how many.
            stagger: spread them over an episode's phases, for training.
            threads: of native physics, 0 for all cores that the process may use.
            processes: give each of others' environments a process of its own.
            draw: the pixels of a picture's side, where they are to be drawn.

        Raises:
            UserError: it cannot be made.
        """

    @abstractmethod
    def why_not_drawn(self, spec: WorldSpec) -> str | None:
        """Return why its worlds cannot be drawn here and, after a semicolon, what to do; or None."""

    @abstractmethod
    def offers(self) -> Iterator[Offer]:
        """Yield what there is of this kind, usable or not."""
