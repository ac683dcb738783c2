"""Films of what an agent can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.agent import Agent, append_slot
from clrobot.curriculum import Curriculum
from clrobot.envs.make import make_vector_env
from clrobot.envs.render import open_renderer
from clrobot.envs.sim import HORIZON
from clrobot.envs.vector_env import FPS
from clrobot.video import Label, label, write_video

# A picture for every other control step: half the drawing, and a film still runs at real speed.
STRIDE = 2


class Rollout(NamedTuple):
    """Episodes as state rows, for drawing."""

    states: NDArray[np.float64]  # (E, T, nstate), T pictures of an episode
    solved: NDArray[np.bool_]  # (E, T), solved at any step so far


class Film(NamedTuple):
    """What a film's caption says."""

    stage: int
    method: str
    success_rate: float | None


def roll_out(agent: Agent, curriculum: Curriculum, slot: int, episodes: int, seed: int) -> Rollout:
    """Run episodes of slot index `slot` with the agent's mean actions; episode e starts as evaluation's episode e."""
    env = make_vector_env(curriculum.stages[slot].task, episodes)
    obs, _ = env.reset(seed=seed)
    states, solved = [env.sim.batch.state.copy()], [env.sim.solved.copy()]
    # The last step would come back as the next episode's start: its picture is left out.
    for step in range(1, HORIZON):
        actions, _ = agent.policy.predict(append_slot(obs, slot), deterministic=True)
        obs, *_ = env.step(actions)
        if step % STRIDE == 0:
            states.append(env.sim.batch.state.copy())
            solved.append(env.sim.solved.copy())
    return Rollout(np.stack(states, axis=1), np.stack(solved, axis=1))


def record(
    path: Path, agent: Agent, curriculum: Curriculum, slot: int, film: Film, *, episodes: int, seed: int
) -> None:
    """Write an H.264 film of slot index `slot` to `path`, with a caption.

    Raises:
        VideoError: the film cannot be encoded or written.
        RenderError: the pictures cannot be drawn.
    """
    rollout = roll_out(agent, curriculum, slot, episodes, seed)
    env = make_vector_env(curriculum.stages[slot].task, 1)
    path.parent.mkdir(parents=True, exist_ok=True)

    def frames() -> Iterator[NDArray[np.uint8]]:
        with open_renderer(env.sim.model) as renderer:
            for e in range(episodes):
                pictures = renderer.frames(rollout.states[e])
                for picture, solved in zip(pictures, rollout.solved[e], strict=True):
                    yield label(
                        picture,
                        Label(
                            task=curriculum.slots[slot],
                            stage=film.stage,
                            stages=len(curriculum.stages),
                            method=film.method,
                            success_rate=film.success_rate,
                            episode=e + 1,
                            episodes=episodes,
                            solved=bool(solved),
                        ),
                    )

    write_video(path, frames(), fps=FPS / STRIDE)
