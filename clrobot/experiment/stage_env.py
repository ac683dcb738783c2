"""The one place where a stage becomes environments: its task, in its own world."""

from __future__ import annotations

from clrobot.envs.worlds.kinds import kind_of
from clrobot.envs.worlds.padded import PaddedWorld
from clrobot.envs.worlds.reward_scale import FixedRewards, RunningRewards
from clrobot.envs.worlds.world import World
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.layout import Layout


def stage_env(
    stage: Stage,
    num_envs: int = 1,
    *,
    layout: Layout | None = None,
    training: bool = False,
    as_paid: bool = False,
    threads: int = 0,
    processes: bool = False,
    draw: int | None = None,
) -> World:
    """Return `num_envs` environments of a stage's task, in the stage's own world.

    Args:
        stage: whose task.
        num_envs: how many.
        layout: of the curriculum, to which they are padded; None: they stay as they are.
        training: spread them over an episode's phases, and bring rewards to the learner's scale.
        as_paid: leave rewards that a moving scale divides as they are; see `RunningRewards`.
        threads: of native physics, 0 for all cores that the process may use.
        processes: give each of others' environments a process of its own.
        draw: the pixels of a picture's side, where they are to be drawn.

    Raises:
        UserError: they cannot be made.
    """
    kind = kind_of(stage.task)
    world = kind.make(stage.spec, num_envs, stagger=training, threads=threads, processes=processes, draw=draw)
    if layout is not None and layout.masks:
        world = PaddedWorld(world, layout.observations, len(layout.masks), layout.mask_of(stage), layout.actions)
    if training and stage.reward_scale is not None:
        return FixedRewards(world, stage.reward_scale)
    return RunningRewards(world, as_paid=as_paid) if training and not stage.native else world


def stage_horizon(stage: Stage) -> int:
    """Return the most control steps of an episode of a stage, without making its environments.

    Raises:
        UserError: its episodes have no end.
    """
    return kind_of(stage.task).horizon(stage.spec)


def why_not_drawn(stage: Stage) -> str | None:
    """Return why a stage's world cannot be drawn here and what to do, or None."""
    return kind_of(stage.task).why_not_drawn(stage.spec)
