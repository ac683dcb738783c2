"""Make the README's moving picture from a finished run: python videos/gallery/make.py RUN.

Every skill of the run's last stage side by side, one episode each, as a small GIF beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from clrobot.films.encode import write_gif
from clrobot.films.record import RATE, roll_out
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder

SIZE = 250  # pixels, each picture's width and height


def main() -> None:
    """Roll out, draw and write."""
    run = RunFolder.open(Path(sys.argv[1]))
    agent = load_agent(run)
    columns = []
    for slot in range(len(agent.slots)):
        world, (episode,) = roll_out(agent, slot, 1, size=SIZE)
        with world.painter(SIZE, SIZE) as painter:
            columns.append(list(painter.frames(episode.looks[:40])))
        world.close()
    frames = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]
    path = Path(__file__).parent / f"{agent.curriculum.name}.gif"
    write_gif(path, frames, fps=RATE)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
