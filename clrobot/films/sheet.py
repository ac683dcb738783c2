"""A contact sheet: what every task looks like at its start, and solved by its scripted expert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from clrobot.envs.experts.episodes import expert_in
from clrobot.envs.rendering import open_renderer
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Task
from clrobot.files import atomic
from clrobot.films.pen import BACKGROUND, TEXT, Frame, font

VIEW: Final = (0.30, 0.30, 0.56)  # left, top and side of the film camera's square that is shown, as shares of it
LINGER: Final = 15  # control steps from the first success to the picture of it
COLOURS: Final = 255  # of the whole sheet: it stays small
GAP: Final = 0.05  # of a picture's width, between pairs


class Pair(NamedTuple):
    """One task's two states, each a full state row (nstate,)."""

    start: NDArray[np.float64]
    solved: NDArray[np.float64] | None  # None where the task has no expert


def play(sim: Simulation, seed: int) -> Pair:
    """Return where an episode of the task's expert starts, and where it is just after the first success.

    Without a success the second is the episode's end. `sim` is one simulation.
    """
    sim.seed([seed])
    sim.reset()
    start, features, since = sim.batch.state[0].copy(), sim.features(), 0
    if sim.task.expert is None:
        return Pair(start, None)
    policy = expert_in(sim)
    for _ in range(HORIZON):
        features, _ = sim.step(policy(features))
        since += int(sim.solved[0])
        if since > LINGER and sim.solved_now[0]:
            break
    return Pair(start, sim.batch.state[0].copy())


def draw_pair(task: type[Task], size: int, seed: int) -> Frame:
    """Return the task's start and success side by side, (size, 2 size, 3); nothing for the success without an expert.

    Raises:
        RenderError: the pictures cannot be drawn.
    """
    sim = Simulation(task(), 1, threads=1)
    pair = play(sim, seed)
    left, top, side = VIEW
    whole = round(size / side)
    x, y = min(round(left * whole), whole - size), min(round(top * whole), whole - size)
    with open_renderer(sim.model, whole, whole) as renderer:
        frames = [renderer.frame(state)[y : y + size, x : x + size] for state in pair if state is not None]
    if len(frames) < len(pair):
        frames.append(np.full_like(frames[0], BACKGROUND))
    return np.concatenate(frames, axis=1)


def write_sheet(path: Path, tasks: Sequence[type[Task]], *, size: int, columns: int, seed: int) -> None:
    """Write the sheet as a PNG: a pair of pictures for each task, `columns` in a row, with the task's name below.

    Args:
        path: the file to write; its folder is made.
        tasks: at least one.
        size: of each picture, pixels.
        columns: pairs in a row.
        seed: of the start states.

    Raises:
        RenderError: the pictures cannot be drawn.
        OSError: the file cannot be written.
    """
    gap, line = max(1, round(GAP * size)), max(8, round(0.17 * size))
    across, down = 2 * size + gap, size + line + gap
    columns = min(columns, len(tasks))
    rows = -(-len(tasks) // columns)
    sheet = Image.new("RGB", (gap + columns * across, gap + rows * down), BACKGROUND)
    pen, letters = ImageDraw.Draw(sheet), font(True, max(6, round(0.11 * size)))
    for place, task in enumerate(tasks):
        x, y = gap + place % columns * across, gap + place // columns * down
        sheet.paste(Image.fromarray(draw_pair(task, size, seed)), (x, y))
        pen.text((x, y + size + line // 2), task.id, fill=TEXT, font=letters, anchor="lm")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as unfinished:
        few = sheet.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(unfinished, format="PNG", optimize=True)
