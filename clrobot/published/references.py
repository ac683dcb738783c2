"""Reference curves that are shipped: each task learned alone, by several seeds, so that no user need train them.

A curve holds for every stage of that world whose budget it reaches, and for a run of any seed, as long as the
learning rate is constant: what a longer training does first is what a shorter one does. So a reference's area is that
under the curve up to the stage's own budget, and AUC_ref is its mean over the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.experiment.config import RunConfig
from clrobot.experiment.curriculum import Stage
from clrobot.experiment.dotted import flatten
from clrobot.published.rows import FOLDER, Row, read_rows, settings_of, settings_text
from clrobot.results.scores import Curve, area_until

FILE: Final = FOLDER / "references.csv"
WHAT: Final = "reference curves"
EVERY: Final = 8192  # control steps between two points of a curve, rounded up to whole iterations
EPISODES: Final = 20  # of each point, as in a run's own curve
EVALUATION_SEED: Final = 2_000_000  # that of the published runs

NO_SUCH_WORLD: Final = "there is none of this world"

_Areas = NDArray[np.float64]


def _checked_curve(text: str) -> str:
    curve = curve_of(text)
    if not len(curve.steps) or curve.steps[0] != 0 or (np.diff(curve.steps) <= 0).any():
        raise ValueError("a curve begins at step 0 and goes on with later ones")
    if (curve.success < 0).any() or (curve.success > 1).any():
        raise ValueError("a success is from 0 to 1")
    return text


def _checked_settings(text: str) -> str:
    settings_of(text)
    return text


Settings = Annotated[str, AfterValidator(_checked_settings)]


class Reference(Row):
    """One training of one task from a fresh network.

    Attributes:
        task: its id.
        world: what differs in it, as one cell of settings.
        settings: what it was learned with, every one, as one cell.
        seed: of everything random.
        evaluation_seed: of the start states.
        episodes: of each point.
        steps: control steps trained.
        curve: its points, `STEP:SUCCESS`, the first before any learning.
        physics: the version of clrobot's physics; the other columns are those of packages, and clrobot's commit.
    """

    task: str
    world: Settings
    settings: Settings
    seed: Annotated[int, Field(ge=0)]
    evaluation_seed: int
    episodes: int
    steps: Annotated[int, Field(ge=1)]
    curve: Annotated[str, AfterValidator(_checked_curve)]
    physics: int
    commit: str
    torch: str
    mujoco: str
    numpy: str
    stable_baselines3: str
    gymnasium: str

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the row stands: a longer training of one seed replaces a shorter one."""
        return self.task, self.world, self.settings, self.physics, self.seed

    def area(self, steps: int) -> float:
        """Return the area under the curve up to `steps`, which it reaches; see `area_until`."""
        return area_until(curve_of(self.curve), steps)


def curve_text(curve: Curve) -> str:
    """Return a learning curve as one cell."""
    return " ".join(f"{step:.0f}:{success:g}" for step, success in zip(*curve, strict=True))


def curve_of(text: str) -> Curve:
    """Return the learning curve of a cell.

    Raises:
        ValueError: it is none.
    """
    points = [tuple(map(float, point.split(":"))) for point in text.split()]
    if any(len(point) != 2 for point in points):
        raise ValueError("a curve's points are STEP:SUCCESS")
    found = np.array(points, float).reshape(-1, 2)
    if not np.isfinite(found).all():
        raise ValueError("a curve's points are finite numbers")
    return Curve(found[:, 0], found[:, 1])


def world_text(stage: Stage) -> str:
    """Return what differs in a native stage's world, as one cell."""
    return settings_text(stage.model_dump(mode="json", exclude={"task", "steps"}))


def learner_settings(config: RunConfig) -> dict[str, Any]:
    """Return by dotted name what determines how a first stage is learned, but for the seed: algorithm and network.

    Where it computes, and on how many threads, changes bits and no mean; what happens between two stages is nothing
    to a first one.
    """
    chosen = config.model_dump(mode="json", include={"algo", "network", "plasticity", config.algo})
    found = dict(flatten(chosen))
    del found["plasticity.reset_optimizer"]
    return found


@cache
def shipped() -> tuple[Reference, ...]:
    """Return the reference curves that come with clrobot.

    Raises:
        UserError: the file is damaged.
    """
    return tuple(read_rows(FILE, Reference, WHAT))


def matching(
    config: RunConfig, stage: Stage, steps: int, rows: Sequence[Reference], physics: int = PHYSICS_VERSION
) -> list[Reference]:
    """Return the references of a stage that was learned so, in this physics, for so many control steps."""
    if not stage.native:
        return []
    wanted = stage.task, world_text(stage), settings_text(learner_settings(config)), physics
    return [row for row in rows if row.order[:-1] == wanted and row.steps >= steps]


def shipped_for(config: RunConfig, stage: Stage, steps: int, physics: int = PHYSICS_VERSION) -> list[Reference]:
    """Return the shipped references of a stage that was learned so, in this physics, for so many control steps."""
    return matching(config, stage, steps, shipped(), physics)


def reference_areas(
    config: RunConfig,
    stage: Stage,
    steps: int,
    rows: Sequence[Reference] | None = None,
    physics: int = PHYSICS_VERSION,
) -> _Areas:
    """Return the area of each shipped reference of a stage, (S',), by rising seed; of none where none matches.

    Args:
        config: the run's settings.
        stage: one of its stages.
        steps: control steps that it took.
        rows: in place of the shipped ones.
        physics: the version of the physics that the run was trained in.
    """
    found = matching(config, stage, steps, shipped() if rows is None else rows, physics)
    return np.array([row.area(steps) for row in sorted(found, key=lambda row: row.seed)])


def why_none(
    config: RunConfig,
    stage: Stage,
    steps: int,
    rows: Sequence[Reference] | None = None,
    physics: int = PHYSICS_VERSION,
) -> str | None:
    """Return why no shipped reference matches a stage, as the rest of a sentence; None where one does.

    Of several it goes by the one that differs in the fewest settings.
    """
    rows = shipped() if rows is None else rows
    if matching(config, stage, steps, rows, physics):
        return None
    here = [row for row in rows if (row.task, row.world) == (stage.task, world_text(stage))] if stage.native else []
    if not here:
        return NO_SUCH_WORLD
    if all(row.physics != physics for row in here):
        return f"they are of physics {here[-1].physics}, and this is {physics}"
    here = [row for row in here if row.physics == physics]
    mine = learner_settings(config)
    fewest = min((_differences(mine, settings_of(row.settings)) for row in here), key=len)
    if fewest:
        return "; ".join(fewest)
    longest = max(row.steps for row in here if not _differences(mine, settings_of(row.settings)))
    return f"they end after {longest:,} steps, and the stage has {steps:,}"


def _differences(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    if mine["algo"] != theirs.get("algo"):  # the rest follows from it
        return [f"they were learned with {theirs.get('algo')}, and this with {mine['algo']}"]
    return [
        f"{name} is {mine.get(name)} here and {theirs.get(name)} there"
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    ]


def other_torch(torch: str, rows: Sequence[Reference]) -> str | None:
    """Return the versions of torch that references were made with where one is another than `torch`, or None."""
    others = sorted({row.torch for row in rows} - {torch})
    return ", ".join(others) if others else None
