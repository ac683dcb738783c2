"""What settings were chosen on: as many tries for every method's main setting, on `val5`, by seeds never reported.

Each method that has a main setting gets four values of it, and two seeds of each; then the defaults are frozen. How a
skill begins was chosen by further tries: on `val5` with distillation, on `cr10` with ewc and replay too.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from clrobot.experiment.config import RunConfig
from clrobot.experiment.dotted import flatten
from clrobot.published.references import Settings
from clrobot.published.rows import FOLDER, MaybeFloat, Row

FILE: Final = FOLDER / "tuning.csv"
WHAT: Final = "tries for choosing settings"
CURRICULUM: Final = "val5"
SEEDS: Final = (100, 101)

# By method its main setting and four values of it, the default among them.
GRID: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "ewc": ("ewc.strength", (0.0125, 0.05, 0.2, 0.8)),
    "online-ewc": ("online-ewc.strength", (0.0125, 0.05, 0.2, 0.8)),
    "l2": ("l2.strength", (0.0025, 0.01, 0.04, 0.16)),
    "si": ("si.strength", (0.0025, 0.01, 0.04, 0.16)),
    "mas": ("mas.strength", (0.0025, 0.01, 0.04, 0.16)),
    "progressive": ("progressive.later_width", (0.25, 0.5, 0.75, 1.0)),
    "packnet": ("packnet.keep", (0.15, 0.3, 0.45, 0.6)),
    "progress-compress": ("progress-compress.strength", (0.075, 0.3, 1.2, 4.8)),
    "distillation": ("distillation.strength", (0.25, 1.0, 4.0, 16.0)),
    "replay": ("replay.strength", (0.25, 1.0, 4.0, 16.0)),
    "generative-replay": ("generative-replay.strength", (0.25, 1.0, 4.0, 16.0)),
    "a-gem": ("a-gem.batch_size", (64, 128, 256, 512)),
}

# With SAC: what is replayed there is a share of each batch. The sequence is docs/data/candidates/sac-tries.yaml.
SAC_GRID: Final[dict[str, tuple[str, tuple[float, ...]]]] = {
    "ewc": GRID["ewc"],
    "distillation": GRID["distillation"],
    "replay": ("replay.share", (0.1, 0.25, 0.5, 0.75)),
}


class Trial(Row):
    """One run of one try.

    Attributes:
        curriculum: its name.
        method: of continual learning.
        algo: which algorithm learned.
        setting: the method's main one; nothing where it has none.
        tried: its value.
        settings: every one that was not the default, as one cell.
        seed: of everything random.
        evaluation_seed: of the start states.
        average_success: P, and what else the choice went by.
        mean_area: mean over the tasks of the area under the learning curve in their own stages.
        command: what trains the run.
        physics: the version of clrobot's physics; the other columns are those of packages, and clrobot's commit.
    """

    curriculum: str
    method: Annotated[str, Field(min_length=1)]
    algo: str
    setting: str
    tried: MaybeFloat
    settings: Settings
    seed: int
    evaluation_seed: int
    average_success: MaybeFloat
    average_success_final_step: MaybeFloat
    forgetting: MaybeFloat
    forward_transfer_from_2: MaybeFloat
    mean_area: MaybeFloat
    command: str
    physics: int
    commit: str
    torch: str
    mujoco: str
    numpy: str
    stable_baselines3: str
    gymnasium: str

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the row stands: method by method, value by value."""
        tried = float("-inf") if self.tried is None else self.tried
        which = self.curriculum, self.method, self.algo, self.setting, tried, self.settings
        return *which, self.evaluation_seed, self.physics, self.seed


def main_setting(config: RunConfig) -> tuple[str, float | None]:
    """Return a method's main setting and the value that a run has of it; nothing where it has none."""
    grid = SAC_GRID if config.algo == "sac" else GRID
    if config.method not in grid:
        return "", None
    name, _ = grid[config.method]
    return name, float(dict(flatten(config.model_dump(mode="json")))[name])


def tries() -> list[tuple[str, dict[str, Any]]]:
    """Return every try of the protocol with PPO: a method, and its settings as `make_config` takes them.

    A column of another width than the first begins anew, so that all widths do.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for method, (name, values) in GRID.items():
        group, _, setting = name.partition(".")
        start = {"warm_start": {"choose": "none"}} if method == "progressive" else {}
        found += [(method, {group: {setting: value}} | start) for value in values]
    return found
