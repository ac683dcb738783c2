"""Films of what an agent can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clrobot.envs.worlds.world import Painter, World
from clrobot.evaluation.agent import Agent
from clrobot.evaluation.evaluator import check_actions, check_sizes
from clrobot.evaluation.observations import append_slot
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.layout import layout
from clrobot.experiment.stage_env import stage_env
from clrobot.films.captions import Label, Tile, label, mosaic, tile, tile_width
from clrobot.films.encode import write_gif, write_video
from clrobot.films.pen import Frame

# Pictures a second, about: for native tasks every other control step, which is half the drawing at real speed.
RATE: Final = 12.5
SIZE: Final = 480  # pixels, of a film's picture

# Of a grid, in pixels: the widest film, and the widest picture in it (a GIF has no compression to speak of).
GRID_WIDTH: Final = 1280
CELL: Final = {".mp4": 240, ".gif": 180}
MOST: Final = 1_000  # of an episode; a longer one is cut: others' worlds are kept as pictures, 0.7 MB each
HOLD: Final = 10  # pictures for which an episode's end stays on show


class Episode(NamedTuple):
    """One episode, for drawing."""

    looks: NDArray[Any]  # (T, …), what T pictures are drawn from
    solved: NDArray[np.bool_]  # (T,), solved at any step so far


class Rollout(NamedTuple):
    """Episodes, and the world that they were played in, which draws them."""

    world: World
    episodes: list[Episode]


class Film(NamedTuple):
    """What a film's caption says of the agent beside its stage."""

    method: str
    success_rate: float | None
    return_mean: float | None = None  # shown where nothing tells success


def stride(world: World) -> int:
    """Return how many control steps lie between two pictures of a film."""
    return max(1, round(world.fps / RATE))


def roll_out(agent: Agent, slot: int, episodes: int, threads: int = 0, size: int = SIZE) -> Rollout:
    """Run episodes of slot index `slot` with the agent's mean actions; episode e starts as evaluation's episode e.

    The physics takes `threads` threads (0: all cores that the process may use), and pictures have `size` pixels a
    side. Whoever calls this closes the world.
    """
    stage, common = agent.curriculum.stages[slot], layout(agent.curriculum)
    world = stage_env(stage, episodes, layout=common, threads=threads, draw=size)
    check_sizes(agent.policy, world)
    obs, _ = world.reset(seed=agent.seed, options={"once": True})  # of an ended one no next episode is played
    looks, solved = [[look] for look in world.look()], [[now] for now in world.solved]
    running = np.ones(episodes, bool)
    for step in range(1, min(world.horizon + 1, MOST * stride(world))):
        actions, _ = agent.policy.predict(append_slot(obs, slot), deterministic=True)
        obs, _, terminated, truncated, infos = world.step(check_actions(actions))
        # An episode's last step comes back as the next one's start: its picture is left out, and what it told is not.
        ended = running & (terminated | truncated)
        for e in np.flatnonzero(ended):
            solved[e][-1] = bool(infos["final_info"]["is_success"][e])
        running &= ~ended
        if not running.any():
            break
        if step % stride(world) == 0:
            seen = world.look()
            for e in np.flatnonzero(running):
                looks[e].append(seen[e])
                solved[e].append(world.solved[e])
    world.let_go()  # of a grid there are many
    pairs = zip(looks, solved, strict=True)
    return Rollout(world, [Episode(np.stack(seen), np.array(so_far)) for seen, so_far in pairs])


def record(path: Path, agent: Agent, slot: int, film: Film, episodes: int, threads: int = 0) -> None:
    """Write an H.264 film of slot index `slot` to `path`, with a caption; `threads` are those of the physics.

    Raises:
        VideoError: the film cannot be encoded or written.
        RenderError: the pictures cannot be drawn.
    """
    (world, played), curriculum = roll_out(agent, slot, episodes, threads), agent.curriculum
    path.parent.mkdir(parents=True, exist_ok=True)

    def frames() -> Iterator[NDArray[np.uint8]]:
        with world.painter(SIZE, SIZE) as painter:
            for e, episode in enumerate(played, start=1):
                for picture, solved in zip(painter.frames(episode.looks), episode.solved, strict=True):
                    yield label(
                        picture,
                        Label(
                            task=curriculum.slots[slot],
                            stage=agent.stage,
                            stages=len(curriculum.stages),
                            method=film.method,
                            success_rate=film.success_rate,
                            episode=e,
                            episodes=episodes,
                            solved=bool(solved),
                            return_mean=film.return_mean,
                        ),
                    )

    try:
        write_video(path, frames(), fps=world.fps / stride(world))
    finally:
        world.close()


class Cell(NamedTuple):
    """One picture of a grid: what an agent makes of a slot."""

    agent: Agent
    slot: int
    success_rate: float | None  # None: the skill was not trained yet, or nothing tells success
    return_mean: float | None = None  # of a skill of which nothing tells success

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
        roll_out(cell.agent, cell.slot, episodes, threads, size)
        if _text(cell).trained
        else _start(cell, episodes, threads, size)
        for cell in cells
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    paces = {rollout.world.fps / stride(rollout.world) for rollout in rollouts}
    rate = paces.pop() if len(paces) == 1 and path.suffix == ".mp4" else RATE  # in a GIF no other plays exactly

    def frames() -> Iterator[Frame]:
        with ExitStack() as stack:
            worlds = {cell.stage.world: rollout.world for cell, rollout in zip(cells, rollouts, strict=True)}
            painters = {key: stack.enter_context(world.painter(size, size)) for key, world in worlds.items()}
            for e in range(episodes):
                tiles = [
                    _at_rate(
                        _tiles(cell, rollout.episodes[e], painters[cell.stage.world]),
                        rollout.world.fps / stride(rollout.world),
                        rate,
                    )
                    for cell, rollout in zip(cells, rollouts, strict=True)
                ]
                columns = len(rows[0])
                for flat in _side_by_side(tiles):
                    together = mosaic([flat[i : i + columns] for i in range(0, len(flat), columns)], *title)
                    yield together
                yield from [together] * HOLD

    write = write_gif if path.suffix == ".gif" else write_video
    try:
        write(path, frames(), fps=rate)
    finally:
        for rollout in rollouts:
            rollout.world.close()


def _start(cell: Cell, episodes: int, threads: int, size: int) -> Rollout:
    """Return the start states alone, each an episode of one picture."""
    world = stage_env(cell.stage, episodes, threads=threads, draw=size)
    world.reset(seed=cell.agent.seed)
    looks = world.look()
    world.let_go()
    return Rollout(world, [Episode(look[None], np.zeros(1, bool)) for look in looks])


def _tiles(cell: Cell, episode: Episode, painter: Painter) -> Iterator[Frame]:
    """Yield the captioned pictures of a cell's episode."""
    text = _text(cell)
    for picture, solved in zip(painter.frames(episode.looks), episode.solved, strict=True):
        yield tile(picture, replace(text, solved=bool(solved)))


def _at_rate(pictures: Iterator[Frame], own: float, rate: float) -> Iterator[Frame]:
    """Yield pictures of `own` a second as `rate` a second: each as often as it is the newest."""
    shown = 0
    for n, picture in enumerate(pictures, start=1):
        while shown / rate < n / own - 1e-9:
            yield picture
            shown += 1


def _text(cell: Cell) -> Tile:
    return Tile(cell.agent.slots[cell.slot], cell.agent.stage, cell.success_rate, return_mean=cell.return_mean)


def _side_by_side(films: Sequence[Iterator[Frame]]) -> Iterator[list[Frame]]:
    """Yield the films' pictures until the longest is over; one that has ended stays at its last picture."""
    last: list[Any] = [None] * len(films)
    while True:
        following = [next(film, None) for film in films]
        if all(frame is None for frame in following):
            return
        last = [old if frame is None else frame for old, frame in zip(last, following, strict=True)]
        yield last
