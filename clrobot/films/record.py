"""Films of what an agent can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.envs.rendering import Renderer, open_renderer
from clrobot.envs.simulation.simulation import HORIZON
from clrobot.envs.worlds.vector_env import FPS
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.evaluator import check_actions, check_sizes
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.stage_env import stage_env
from clrobot.films.captions import Label, Tile, label, mosaic, tile, tile_width
from clrobot.films.encode import write_gif, write_video
from clrobot.films.pen import Frame

# A picture for every other control step: half the drawing, and a film still runs at real speed.
STRIDE = 2

# Of a grid, in pixels: the widest film, and the widest picture in it (a GIF has no compression to speak of).
GRID_WIDTH: Final = 1280
CELL: Final = {".mp4": 240, ".gif": 180}
HOLD: Final = 10  # pictures for which an episode's end stays on show


class Rollout(NamedTuple):
    """Episodes as state rows, for drawing."""

    states: NDArray[np.float64]  # (E, T, nstate), T pictures of an episode
    solved: NDArray[np.bool_]  # (E, T), solved at any step so far


class Film(NamedTuple):
    """What a film's caption says of the agent beside its stage."""

    method: str
    success_rate: float


def roll_out(agent: Agent, slot: int, episodes: int, threads: int = 0) -> Rollout:
    """Run episodes of slot index `slot` with the agent's mean actions; episode e starts as evaluation's episode e.

    The physics takes `threads` threads (0: all cores that the process may use).
    """
    env = stage_env(agent.curriculum.stages[slot], episodes, threads=threads)
    check_sizes(agent.policy, env)
    obs, _ = env.reset(seed=agent.seed)
    states, solved = [env.sim.batch.state.copy()], [env.sim.solved.copy()]
    # The last step would come back as the next episode's start: its picture is left out.
    for step in range(1, HORIZON):
        actions, _ = agent.policy.predict(append_slot(obs, slot), deterministic=True)
        obs, *_ = env.step(check_actions(actions))
        if step % STRIDE == 0:
            states.append(env.sim.batch.state.copy())
            solved.append(env.sim.solved.copy())
    return Rollout(np.stack(states, axis=1), np.stack(solved, axis=1))


def record(path: Path, agent: Agent, slot: int, film: Film, episodes: int, threads: int = 0) -> None:
    """Write an H.264 film of slot index `slot` to `path`, with a caption; `threads` are those of the physics.

    Raises:
        VideoError: the film cannot be encoded or written.
        RenderError: the pictures cannot be drawn.
    """
    rollout, curriculum = roll_out(agent, slot, episodes, threads), agent.curriculum
    env = stage_env(curriculum.stages[slot])
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
                            stage=agent.stage,
                            stages=len(curriculum.stages),
                            method=film.method,
                            success_rate=film.success_rate,
                            episode=e + 1,
                            episodes=episodes,
                            solved=bool(solved),
                        ),
                    )

    write_video(path, frames(), fps=FPS / STRIDE)


class Cell(NamedTuple):
    """One picture of a grid: what an agent makes of a slot."""

    agent: Agent
    slot: int
    success_rate: float | None  # None: the skill was not trained yet

    @property
    def stage(self) -> Stage:
        """The stage of the curriculum that trains the slot."""
        return self.agent.curriculum.stages[self.slot]


def record_grid(
    path: Path, rows: Sequence[Sequence[Cell]], title: tuple[str, str], episodes: int, threads: int = 0
) -> None:
    """Write one film, .mp4 or .gif, whose cells play at the same time, from the same start state in each task.

    A skill that was not trained yet is a dimmed picture of its start.

    Args:
        path: the film.
        rows: of cells, as many in each; the agents are all of one run.
        title: what stands above the cells, on the left and on the right.
        episodes: how many, one after the other; each starts as evaluation's of the same number.
        threads: of the physics; 0: all cores that the process may use.

    Raises:
        VideoError: the film cannot be encoded or written.
        RenderError: the pictures cannot be drawn.
    """
    size = tile_width(max(map(len, rows)), GRID_WIDTH, CELL[path.suffix])
    cells = [cell for row in rows for cell in row]
    rollouts = [
        _start(cell, episodes, threads)
        if cell.success_rate is None
        else roll_out(cell.agent, cell.slot, episodes, threads)
        for cell in cells
    ]
    path.parent.mkdir(parents=True, exist_ok=True)

    def frames() -> Iterator[Frame]:
        with ExitStack() as stack:
            stages = {cell.stage.world: cell.stage for cell in cells}
            renderers = {
                world: stack.enter_context(open_renderer(stage_env(stage).sim.model, size, size))
                for world, stage in stages.items()
            }
            for e in range(episodes):
                tiles: list[Iterator[Frame]] = [
                    _tiles(cell, rollout, e, renderers[cell.stage.world])
                    for cell, rollout in zip(cells, rollouts, strict=True)
                ]
                columns = len(rows[0])
                for flat in zip(*tiles, strict=True):
                    together = mosaic([flat[i : i + columns] for i in range(0, len(flat), columns)], *title)
                    yield together
                yield from [together] * HOLD

    write = write_gif if path.suffix == ".gif" else write_video
    write(path, frames(), fps=FPS / STRIDE)


def _start(cell: Cell, episodes: int, threads: int) -> Rollout:
    """Return the start states alone, each an episode of one picture."""
    env = stage_env(cell.stage, episodes, threads=threads)
    env.reset(seed=cell.agent.seed)
    return Rollout(env.sim.batch.state.copy()[:, None], env.sim.solved.copy()[:, None])


def _tiles(cell: Cell, rollout: Rollout, e: int, renderer: Renderer) -> Iterator[Frame]:
    """Yield the captioned pictures of a cell's episode e; one that stands still is drawn once."""
    text = Tile(cell.agent.slots[cell.slot], cell.agent.stage, cell.success_rate)
    pictures = renderer.frames(rollout.states[e])
    if cell.success_rate is None:
        yield from [tile(next(pictures), text)] * len(range(0, HORIZON, STRIDE))
        return
    for picture, solved in zip(pictures, rollout.solved[e], strict=True):
        yield tile(picture, replace(text, solved=bool(solved)))
