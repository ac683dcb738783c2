"""A page for each task, from its class, its simulation, its expert's episodes and published data."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from clrobot.comparison.markdown import table
from clrobot.envs.experts.episodes import run_expert
from clrobot.envs.scene.arm import CONTROL_STEP
from clrobot.envs.simulation.observation import COLUMNS, OBS_LAYOUT, OBS_SIZE
from clrobot.envs.simulation.simulation import HORIZON, Simulation
from clrobot.envs.simulation.task import Box, Task
from clrobot.envs.tasks import TASKS
from clrobot.experiment.curricula import CURRICULA
from clrobot.results.numbers import percent
from making import published
from making.markdown import in_a_line, literal, page, prose

EPISODES = 50  # of the expert
SEED = 0


class Solved(NamedTuple):
    """The share of an expert's episodes that were solved."""

    at_any_step: float
    at_the_last: float


@cache
def expert_of(task: type[Task]) -> Solved:
    """Return how often the task's expert solves it, measured here and now."""
    episodes = run_expert(task, EPISODES, SEED, threads=1)
    return Solved(float(episodes.success.mean()), float(episodes.success_final.mean()))


def shown_parts(task: type[Task]) -> dict[str, bool]:
    """Return for each part of an observation whether the task has it, or shows zeros."""
    sim = Simulation(task(), 1, threads=1)
    sim.seed([SEED])
    sim.reset()
    features = sim.features()
    lacking = {
        "other object position": features.other is None,
        "mechanism position": features.joint is None,
    }
    return {part.name: not lacking.get(part.name, False) for part in OBS_LAYOUT}


def task_page(task: type[Task]) -> str:
    """Return a task's page, in Markdown."""
    solved, name = expert_of(task), task.id
    return page(
        f"# {name}",
        f"![At the start, and solved by its expert](../pictures/tasks/{name}.webp)",
        prose(task.__doc__),
        table(
            ("", ""),
            [
                ("Gymnasium id", f"`{task.gym_id()}`"),
                ("in the curricula", _curricula(name)),
                (
                    "expert",
                    f"solves {percent(solved.at_any_step)} of {EPISODES} episodes at any step, "
                    f"{percent(solved.at_the_last)} at the last one (seed {SEED})",
                ),
                ("PPO alone, to a success of .5", published.steps_to(name, 0.5)),
                ("PPO alone, to a success of .9", published.steps_to(name, 0.9)),
            ],
        ),
        "## What varies",
        table(("drawn at every start", "from", "to"), [(n, *_ends(box)) for n, box in task.varies.items()]),
        "In metres, or as the task's text says; uniform in the box.",
        "## What the agent sees",
        f"{OBS_SIZE} numbers, x shown as (x − offset) / scale and clipped to ±5; the same layout in every task.",
        table(("columns", "what", "scale", ""), _observation(task), numbers=(2,)),
        "## Reward",
        "Each term lies in [0, 1], and the weights sum to 1.",
        table(("term", "weight"), [(f"`{n}`", f"{weight:g}") for n, weight in task.weights.items()], numbers=(1,)),
        "## Other worlds",
        _refused(task),
        "## Try it",
        f'```python\nimport clrobot\n\nenv = clrobot.make_env("{name}", render_mode="rgb_array")\n'
        "obs, _ = env.reset(seed=0)\nobs, reward, terminated, truncated, info = env.step(env.action_space.sample())\n"
        'print(info["success"])\n```',
        f"Source: `{task.__module__.removeprefix('clrobot.').replace('.', '/')}.py`, "
        f"imported as `{task.__module__}`, its expert beside it.",
    )


def index_page() -> str:
    """Return the page that shows all tasks."""
    rows = [
        (
            f"[![{task.id}](../pictures/tasks/{task.id}.webp){{ width=240 }}]({task.id}.md)",
            f"[{task.id}]({task.id}.md)",
            in_a_line(task.__doc__),
            percent(expert_of(task).at_any_step),
        )
        for task in TASKS
    ]
    return page(
        "# Tasks",
        f"{len(TASKS)} manipulation skills of one arm on one table, each with a scripted expert that proves that it "
        f"can be solved: the last column is its success at any step of {EPISODES} episodes. An episode has "
        f"{HORIZON} control steps of {1000 * CONTROL_STEP:g} ms.",
        table(("start, and solved", "task", "what it is", "expert"), rows, numbers=(3,)),
        "```console\n$ clrobot tasks\n```",
        "[Your own task](../howto/task.md) is a class of the same kind, and "
        "[any Gymnasium environment](../howto/environment.md) can be a stage too.",
    )


def _curricula(task: str) -> str:
    found = [f"`{name}`" for name, c in CURRICULA.ours.items() if any(stage.task == task for stage in c.stages)]
    return ", ".join(found) or "none"


def _ends(box: Box) -> tuple[str, str]:
    low, high = (", ".join(f"{x:g}" for x in ends) for ends in box)
    return low, high


def _observation(task: type[Task]) -> list[tuple[str, str, str, str]]:
    shown, found = shown_parts(task), []
    for part in OBS_LAYOUT:
        columns = COLUMNS[part.name]
        span = f"{columns.start}" if part.size == 1 else f"{columns.start}–{columns.stop - 1}"
        found.append((span, part.name, f"{part.scale:g}", "" if shown[part.name] else "zeros: the task has none"))
    return found


def _refused(task: type[Task]) -> str:
    if not task.refuses:
        return "Every override of [a curriculum](../howto/curriculum.md) that its scene has a use for can change it."
    lines = [f"- `{name}` is refused: {literal(why)}" for name, why in task.refuses.items()]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Return every page of tasks, by its file."""
    return {"tasks/index.md": index_page()} | {f"tasks/{task.id}.md": task_page(task) for task in TASKS}
