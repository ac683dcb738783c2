"""clrobot's own tasks, and a user's that derive from `Task`, as a kind of world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from typing_extensions import override

from clrobot.envs.simulation.actions import ACTION_SIZE
from clrobot.envs.simulation.observation import OBS_SIZE
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.envs.worlds.kind import Kind, Offer
from clrobot.envs.worlds.make import make_vector_env
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.envs.worlds.world import World


class Native(Kind):
    """The batched simulations of this package."""

    prefix: ClassVar = ""
    saves_state: ClassVar = True

    @override
    def check(self, task: str) -> None:
        _ = TASKS_BY_ID[task]

    @override
    def horizon(self, spec: WorldSpec) -> int:
        return spec.horizon or HORIZON

    @override
    def examine(self, spec: WorldSpec) -> Measured:
        raise NotImplementedError("native tasks have one layout of observations, at fixed scales")

    @override
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
        return make_vector_env(
            spec.task,
            num_envs,
            threads=threads,
            stagger=stagger,
            overrides=spec.overrides,
            max_episode_steps=spec.horizon,
        )

    @override
    def why_not_drawn(self, spec: WorldSpec) -> str | None:
        return None  # rays are cast where there is no OpenGL

    @override
    def offers(self) -> Iterator[Offer]:
        for name in TASKS_BY_ID:
            yield Offer("native", name, HORIZON, OBS_SIZE, ACTION_SIZE, "the task", None)
