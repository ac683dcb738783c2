"""Make the README's moving picture from a finished run: python videos/gallery/make.py RUN.

Every skill of the run's last stage side by side, one episode each, as a small GIF beside this file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from clrobot.envs.rendering import open_renderer
from clrobot.envs.worlds.vector_env import FPS
from clrobot.experiment.stage_env import stage_env
from clrobot.films.encode import write_gif
from clrobot.films.record import STRIDE, roll_out
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder

SIZE = 250  # pixels, each picture's width and height


def main() -> None:
    """Roll out, draw and write."""
    run = RunFolder.open(Path(sys.argv[1]))
    agent, config = load_agent(run), run.config
    columns = []
    for slot, stage in enumerate(config.curriculum.stages):
        states = roll_out(agent, config.curriculum, slot, 1, config.evaluation.seed).states[0]
        model = stage_env(stage).sim.model
        with open_renderer(model, SIZE, SIZE) as renderer:
            columns.append(list(renderer.frames(states[:40])))
    frames = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]
    path = Path(__file__).parent / f"{config.curriculum.name}.gif"
    write_gif(path, frames, fps=FPS / STRIDE)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
