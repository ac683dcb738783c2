"""Draw the tasks' pictures with clrobot's own renderer: python docs/making/draw_tasks.py

Each is a task at its start and, beside it, just after its scripted expert has solved it. They are committed, since
the site is built where nothing can draw. A picture is a few kilobytes; the script says how many.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from clrobot.envs.tasks import TASKS
from clrobot.films.sheet import draw_pair

SIZE = 280  # pixels, each of the two
SEED = 0
FOLDER = Path(__file__).parent.parent / "pictures" / "tasks"


def main() -> None:
    """Draw and write every task's picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for task in TASKS:
        path = FOLDER / f"{task.id}.webp"
        Image.fromarray(draw_pair(task, SIZE, SEED)).save(path, quality=80, method=6)
        print(f"{path.name}: {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
