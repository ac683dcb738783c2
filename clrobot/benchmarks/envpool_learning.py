"""How soon PPO learns a skill here and on EnvPool's Meta-World, each with the best settings of a short search.

A control step is not a skill: this compares the seconds until one is there. Both sides train stock Stable-Baselines3
PPO (ours with clrobot's policy of one slot) with two networks of 64-64 units, on the same cores, one training at a
time, in turns; both are evaluated after as many control steps with as many episodes, and evaluations take no time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from rich.table import Table
from typing_extensions import override

from clrobot.benchmarks.against_envpool import FLAG, supported
from clrobot.benchmarks.learning import (
    LEARNED,
    Learning,
    check_rows,
    kept,
    learn,
    learning_digits,
    medians,
)
from clrobot.benchmarks.neighbour import Neighbour
from clrobot.envs.cores import usable_cores
from clrobot.experiment.config import RunConfig, make_config
from clrobot.results.numbers import DASH, grouped, number, seconds_alone
from clrobot.terminal import LiteralConsole

TASKS: Final = ("reach", "button-press", "drawer-open")
SEEDS: Final = (0, 1, 2)
SEARCH_TASK: Final = "window-close"  # settings are chosen on this one, which is not among the others
SEARCH_SEED: Final = 100
STEPS: Final = 1_000_000  # control steps, after which a training gives up
SEARCH_STEPS: Final = 300_000
EVERY: Final = 8192  # control steps between evaluations
HORIZON: Final = 200  # control steps of an episode of EnvPool's, as in Continual World
_SCRIPT: Final = Path(__file__).with_name("envpool_ppo.py")

Settings = Mapping[str, Any]


class Side(ABC):
    """One of the two that are compared.

    Attributes:
        name: of the side.
        candidates: the settings that the search tries.
    """

    name: ClassVar[str]
    candidates: ClassVar[Sequence[Settings]]

    @abstractmethod
    def train(self, task: str, seed: int, steps: int, label: str, settings: Settings) -> Learning:
        """Train on `task`, an id of clrobot's, until it is learned or for `steps` control steps."""

    def digits(self, settings: Settings) -> str:
        """Return what tells these settings, and all that they leave as it is, from others among rows of a file."""
        return ""


class Ours(Side):
    """clrobot's simulations and PPO, whose defaults come from such a search over all sixteen tasks."""

    name: ClassVar = "clrobot"
    candidates: ClassVar = (
        {},
        {"num_envs": 64, "n_steps": 32},
        {"learning_rate": 1e-3, "final_learning_rate": 1e-3},
        {"n_epochs": 5},
    )

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    @override
    def train(self, task: str, seed: int, steps: int, label: str, settings: Settings) -> Learning:
        return learn(self._config(settings), task, seed, steps, EVERY, label)

    @override
    def digits(self, settings: Settings) -> str:
        return learning_digits(self._config(settings), EVERY)

    def _config(self, settings: Settings) -> RunConfig:
        return make_config(ppo=dict(settings), threads=self._threads)


class Theirs(Side):
    """EnvPool's Meta-World and stock PPO, in the other interpreter."""

    name: ClassVar = "envpool"
    _BASE: ClassVar[Settings] = {
        "num_envs": 64,
        "n_steps": 32,
        "batch_size": 512,
        "n_epochs": 10,
        "learning_rate": 1e-3,
        "gamma": 0.99,
        "reward_scale": 0.1,
        "normalize": False,
        "log_std_init": -0.5,
        "torch_threads": 1,
    }
    # What is near Stable-Baselines3's defaults and near clrobot's, with and without what many add for Meta-World; the
    # last are those of clrobot's own curricula of Meta-World, which longer tries chose, without their falling rate.
    candidates: ClassVar = (
        _BASE,
        {**_BASE, "torch_threads": 2},
        {**_BASE, "reward_scale": 1.0},
        {**_BASE, "n_steps": 64},
        {**_BASE, "normalize": True},
        {**_BASE, "normalize": True, "learning_rate": 3e-4},
        {**_BASE, "learning_rate": 2e-3, "gamma": 0.95},
        {**_BASE, "num_envs": 128, "n_steps": 16, "learning_rate": 2e-3, "gamma": 0.95, "normalize": True},
        {**_BASE, "learning_rate": 2e-3, "gamma": 0.95, "normalize": True, "log_std_init": 0.0},
    )

    def __init__(self, python: Path, threads: int = 0) -> None:
        self._python, self._episodes = python, make_config().evaluation.episodes
        self._threads = threads or usable_cores()

    def versions(self) -> dict[str, str]:
        """Return what is installed in the other interpreter.

        Raises:
            UserError: EnvPool (1.2 or later), Stable-Baselines3 or torch is not.
        """
        found = self._ask()
        supported(found["envpool"], self._python)
        return found

    @override
    def train(self, task: str, seed: int, steps: int, label: str, settings: Settings) -> Learning:
        found = self._ask(
            task=envpool_id(task),
            seed=seed,
            steps=steps,
            every=EVERY,
            episodes=self._episodes,
            horizon=HORIZON,
            threads=self._threads,
            learned=LEARNED,
            settings=dict(settings),
        )
        return Learning.of(task, seed, label, found["curve"], found["seconds"])

    def _ask(self, **request: Any) -> dict[str, Any]:
        wanted = "give a Python that can import envpool and stable_baselines3"
        with Neighbour(FLAG, self._python, _SCRIPT, wanted) as neighbour:
            return neighbour.ask(**request)


def envpool_id(task: str) -> str:
    """Return EnvPool's name for the Meta-World task of that id: `MetaWorld/DrawerOpen-v3` for `drawer-open`."""
    return f"MetaWorld/{''.join(word.capitalize() for word in task.split('-'))}-v3"


def check_learning(python: Path, path: Path) -> None:
    """Raise UserError where `measure_learning` could not begin, before minutes are spent."""
    Theirs(python).versions()
    check_rows(path)  # makes the file, so it comes last


def measure_learning(python: Path, path: Path, tell: Callable[[str], None], threads: int = 0) -> dict[str, Any]:
    """Return control steps and seconds to LEARNED of both sides on each of TASKS, medians over SEEDS.

    Args:
        python: the other interpreter.
        path: a file to which each training is appended as a line of JSON; those that it has are not trained again.
        tell: called with a sentence after each training.
        threads: of the physics of both; 0: all cores.
    """
    theirs = Theirs(python, threads)
    result: dict[str, Any] = {"versions": theirs.versions(), "seeds": list(SEEDS), "envpool_horizon": HORIZON}
    return result | compare((Ours(threads), theirs), path, tell, threads)


def compare(sides: Sequence[Side], path: Path, tell: Callable[[str], None], threads: int = 0) -> dict[str, Any]:
    """Search each side's settings, then train on TASKS with SEEDS, the sides in turns."""

    def training(side: Side, settings: Settings, task: str, seed: int, steps: int) -> Learning:
        label = f"{side.name} {', '.join(f'{key} {value}' for key, value in settings.items()) or 'as it is'}"
        label += f", threads {threads}" if threads else ""
        train = partial(side.train, task, seed, steps, label, settings)
        row = kept(path, task, seed, label, steps, train, side.digits(settings))
        found = f"success {number(row.success)} after {row.steps:,} steps, {row.seconds:.0f} s"
        tell(f"{side.name}, {task}, seed {seed}: {found}")
        return row

    result: dict[str, Any] = {"search": {"task": SEARCH_TASK, "seed": SEARCH_SEED, "steps": SEARCH_STEPS}}
    chosen = {}
    for side in sides:
        tried = [training(side, one, SEARCH_TASK, SEARCH_SEED, SEARCH_STEPS) for one in side.candidates]
        chosen[side.name] = side.candidates[best(tried)]
        result["search"][side.name] = [
            {"settings": dict(one), **row.model_dump(mode="json", exclude={"task", "seed", "label"})}
            for one, row in zip(side.candidates, tried, strict=True)
        ]
    rows: dict[str, list[Learning]] = {side.name: [] for side in sides}
    for task in TASKS:
        for seed in SEEDS:
            for side in sides:
                rows[side.name].append(training(side, chosen[side.name], task, seed, STEPS))
    tasks: dict[str, dict[str, Any]] = {task: {} for task in TASKS}
    for name, own in rows.items():
        for row in medians(own):
            tasks[row.task][name] = row.model_dump(exclude={"task"})
    trainings = {name: [row.model_dump(mode="json", exclude={"label"}) for row in own] for name, own in rows.items()}
    return result | {"settings": chosen, "tasks": tasks, "trainings": trainings}


def best(rows: Sequence[Learning]) -> int:
    """Return the index of the training that learned in the fewest seconds, else of the greatest success."""

    def rank(index: int) -> tuple[bool, float]:
        row = rows[index]
        return row.learned is None, -row.success if row.learned is None else row.seconds

    return min(range(len(rows)), key=rank)


def show_learning(result: dict[str, Any], console: LiteralConsole) -> None:
    """Print what `measure_learning` returned as a table."""
    table = Table(
        title=f"PPO to success {LEARNED:g}, here and on EnvPool's Meta-World, medians of {len(SEEDS)} seeds",
        title_justify="left",
        caption=f"Settings were chosen for each on {SEARCH_TASK}, seed {SEARCH_SEED}. Seconds of training, "
        f"evaluations left out; {DASH} where half of the seeds or more gave up.",
        caption_justify="left",
    )
    table.add_column("task")
    table.add_column("on")
    for column in ("steps", "seconds", "ratio", "seeds"):
        table.add_column(column, justify="right")
    for task, sides in result["tasks"].items():
        seconds = [side["seconds"] for side in sides.values()]
        ratio = None if None in seconds else seconds[1] / seconds[0]
        for name, side in sides.items():
            table.add_row(
                task if name == "clrobot" else envpool_id(task).partition("/")[2],
                name,
                grouped(side["learned"]),
                DASH if side["seconds"] is None else seconds_alone(side["seconds"]),
                number(ratio, decimals=1) if name == "clrobot" else "",
                f"{side['reached']} of {side['seeds']}",
                end_section=name != "clrobot",
            )
    console.print(table)
