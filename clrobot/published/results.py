"""Published results: a row for each run and metric, with all that it takes to measure it again.

What a run was trained with stands beside the defaults of that day; a fingerprint of every setting tells later whether
a default, or the curriculum of that name, has changed since.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from clrobot.errors import UserError, cut, shown
from clrobot.experiment.config import CHANGES_NO_SCORE, RunConfig, make_config, settings_in_use
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum
from clrobot.experiment.dotted import flatten
from clrobot.experiment.prepare import as_planned, without_measurements
from clrobot.published.references import Settings
from clrobot.published.rows import FOLDER, MaybeFloat, MaybeInt, Row, read_rows, settings_of, settings_text
from clrobot.published.sense import check_run

FILE: Final = FOLDER / "results.csv"
WHAT: Final = "published results"

# Settings that have columns of their own, or change no score.
_ELSEWHERE: Final = ("curriculum", "method", "algo", "seed", "steps", *CHANGES_NO_SCORE)
_EVALUATION_SEED: Final = "evaluation.seed"


def _checked_stages(text: str) -> str:
    if text:
        _curriculum_of(text)
    return text


class Result(Row):
    """One number of one run.

    Attributes:
        curriculum: its name.
        stages: what it consists of, where no curriculum of clrobot's has that name and these stages.
        method: of continual learning.
        algo: which algorithm learned.
        settings: those that were not the defaults, as one cell.
        seed: of everything random.
        evaluation_seed: of the start states.
        fingerprint: of every setting in use.
        stage: from 1, of a number of one task; else empty.
        task: the slot's name, of a number of one task; else empty.
        metric: as `metrics.json` names it.
        value: empty where it is undefined.
        unit: of the value; 1 is a share, or a difference or quotient of shares.
        loaded: whether a time was measured while the machine did other work too.
        command: what trains the run.
        physics: the version of clrobot's physics; the other columns are those of packages, and clrobot's commit.
    """

    curriculum: Annotated[str, Field(min_length=1)]
    stages: Annotated[str, AfterValidator(_checked_stages)]
    method: Annotated[str, Field(min_length=1)]
    algo: str
    settings: Settings
    seed: Annotated[int, Field(ge=0)]
    evaluation_seed: Annotated[int, Field(ge=0)]
    fingerprint: str
    stage: MaybeInt
    task: str
    metric: Annotated[str, Field(min_length=1)]
    value: MaybeFloat
    unit: str
    loaded: bool
    command: str
    physics: int
    commit: str
    torch: str
    mujoco: str
    numpy: str
    stable_baselines3: str
    gymnasium: str

    @property
    def run(self) -> tuple[Any, ...]:
        """What is equal of the rows of one run, and of no two runs."""
        where = self.curriculum, self.stages, self.method, self.algo, self.settings
        return *where, self.evaluation_seed, self.physics, self.fingerprint, self.seed

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the row stands: run by run, first what is of the whole run, then task by task."""
        return *self.run, self.stage or 0, self.task, self.metric


@dataclass(frozen=True)
class PublishedRun:
    """The numbers of one run, by metric.

    Attributes:
        first: one of its rows, for what all of them say.
        values: of the whole run.
        tasks: the slots' names, in order.
        of_tasks: by slot (from 0) and metric.
    """

    first: Result
    values: Mapping[str, float | None]
    tasks: tuple[str, ...]
    of_tasks: Mapping[tuple[int, str], float | None]

    @property
    def stages_done(self) -> int:
        """How many stages are finished: all."""
        return len(self.tasks)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The names of the slots, in the order in which they were trained."""
        return self.tasks

    def value(self, name: str) -> float | None:
        """Return a metric of the run; None where it is undefined or was not published."""
        return self.values.get(name)

    def task_value(self, slot: int, name: str) -> float | None:
        """Return a metric of a slot (from 0)."""
        return self.of_tasks.get((slot, name))

    def reference(self, slot: int) -> str | None:
        """Return what forward transfer to a slot's task is measured against: the shipped references, or None."""
        return None if self.task_value(slot, "auc_reference") is None else "shipped"

    @property
    def references(self) -> frozenset[str]:
        """What its forward transfer is measured against: the shipped references, or nothing."""
        return frozenset(kind for slot in range(len(self.tasks)) if (kind := self.reference(slot)) is not None)

    @cached_property
    def config(self) -> RunConfig:
        """The run's settings, as far as today's defaults are those of its day.

        Raises:
            UserError: a setting or a name is not known today.
        """
        return config_of(self.first)

    @property
    def older(self) -> bool:
        """Whether a default or the curriculum has changed since."""
        return fingerprint(self.config) != self.first.fingerprint


def read_results(path: Path | None = None) -> list[PublishedRun]:
    """Return the published runs, in the order of the file; of none those that come with clrobot.

    Raises:
        UserError: the file is damaged or of another format, or the rows of a run make no sense together.
    """
    return runs_of(read_rows(FILE if path is None else path, Result, WHAT))


def runs_of(rows: Iterable[Result]) -> list[PublishedRun]:
    """Return the runs that these rows are of, in their order.

    Raises:
        UserError: the rows of one make no sense together.
    """
    by_run: dict[tuple[Any, ...], list[Result]] = {}
    for row in rows:
        by_run.setdefault(row.run, []).append(row)
    found = []
    for own in by_run.values():
        check_run(own, _stages_of(own[0]))
        slots = {row.stage - 1: row.task for row in own if row.stage is not None}
        found.append(
            PublishedRun(
                first=own[0],
                values={row.metric: row.value for row in own if row.stage is None},
                tasks=tuple(slots[slot] for slot in sorted(slots)),
                of_tasks={(row.stage - 1, row.metric): row.value for row in own if row.stage is not None},
            )
        )
    return found


# A run's settings as cells ---------------------------------------------------------------------------------


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the columns that say which run it is: of a curriculum of clrobot's by its name there."""
    config = _under_our_name(as_planned(config))
    changed = _changed(config)
    changed.pop(_EVALUATION_SEED, None)
    return {
        "curriculum": config.curriculum.name,
        "stages": "" if _is_ours(config) else stages_text(config),
        "method": config.method,
        "algo": config.algo,
        "settings": settings_text(changed),
        "seed": config.seed,
        "evaluation_seed": config.evaluation.seed,
        "fingerprint": fingerprint(config),
    }


def command_of(config: RunConfig) -> str:
    """Return the command that trains a run, as a shell takes it; a curriculum of others' by the name of its file."""
    config = _under_our_name(as_planned(config))
    name = config.curriculum.name if _is_ours(config) else f"{config.curriculum.name}.yaml"
    words = ["clrobot", "train", "--curriculum", name, "--method", config.method, "--seed", str(config.seed)]
    if config.algo != "ppo":
        words += ["--algo", config.algo]
    for setting, value in sorted(_changed(config).items()):
        flag = setting.replace("_", "-")
        if isinstance(value, bool):
            group, _, last = flag.rpartition(".")
            words.append(f"--{flag}" if value else f"--{group}{'.' if group else ''}no-{last}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)  # who made the run has named its curriculum, and who reads this may paste it


def fingerprint(config: RunConfig) -> str:
    """Return twelve digits that another value of any setting in use would change, but for the seed."""
    plain = without_measurements(settings_in_use(as_planned(config)))
    told = {"curriculum": plain["curriculum"], "method": config.method, "algo": config.algo} | _told(plain)
    return hashlib.sha256(settings_text(told).encode()).hexdigest()[:12]


def config_of(row: Result) -> RunConfig:
    """Return the settings of a published run.

    Raises:
        UserError: one is not known today.
    """
    curriculum = {"name": row.curriculum} | _curriculum_of(row.stages) if row.stages else row.curriculum
    which = {"curriculum": curriculum, "method": row.method, "algo": row.algo, "seed": row.seed}
    try:
        return make_config(**which, **_nested(settings_of(row.settings) | {_EVALUATION_SEED: row.evaluation_seed}))
    except TypeError as error:  # a cell of settings that names what has a column, or a group as a number
        raise UserError(f"settings {shown(row.settings)} of a published run: {cut(str(error), 100)}") from error


def _stages_of(row: Result) -> int | None:
    """Return how many stages a published run's curriculum has; None where nothing tells that today.

    A curriculum of ours, or a default, may have changed since, and a method may be somebody else's.
    """
    if row.stages:
        return len(_curriculum_of(row.stages)["stages"])
    ours = CURRICULA.ours.get(row.curriculum)
    if ours is None:
        return None
    try:
        return len(ours.stages) if fingerprint(config_of(row)) == row.fingerprint else None
    except UserError:
        return None


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted name as the groups that they are."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        *groups, last = name.split(".")
        inner = found
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return found


def stages_text(config: RunConfig) -> str:
    """Return a curriculum as one cell: `drawer-open 60000 + push 60000 overrides.object.friction=0.3`.

    What else it says comes first: `pad=true : reach 60000 + …`.
    """
    rest = settings_text(config.curriculum.model_dump(mode="json", exclude={"name", "stages"}))
    parts = []
    for stage in config.curriculum.stages:
        world = settings_text(stage.model_dump(mode="json", exclude={"task", "steps", "measured"}))
        parts.append(f"{stage.task} {stage.steps}{' ' if world else ''}{world}")
    return f"{rest}{' : ' if rest else ''}{' + '.join(parts)}"


def _curriculum_of(text: str) -> dict[str, Any]:
    """Return what `stages_text` has written, as `Curriculum` takes it.

    Raises:
        ValueError: it is something else.
    """
    rest, colon, stages = text.rpartition(" : ")
    return _nested(settings_of(rest if colon else "")) | {"stages": [_stage_of(part) for part in stages.split(" + ")]}


def _stage_of(text: str) -> dict[str, Any]:
    task, steps, *world = text.split(" ")
    found: dict[str, Any] = {"task": task, "steps": int(steps)}
    for name, value in settings_of(" ".join(world)).items():
        group, _, rest = name.partition(".")
        if rest:  # an override's own name has a dot too
            found.setdefault(group, {})[rest] = value
        else:
            found[name] = value
    return found


def _is_ours(config: RunConfig) -> bool:
    return CURRICULA.ours.get(config.curriculum.name) == _written(config.curriculum)


def _under_our_name(config: RunConfig) -> RunConfig:
    """Return the settings with a curriculum of clrobot's where theirs differs from it in the name alone."""
    for name, ours in CURRICULA.ours.items():
        if _written(config.curriculum).model_copy(update={"name": name}) == ours:
            return config.model_copy(update={"curriculum": ours})
    return config


def _written(curriculum: Curriculum) -> Curriculum:
    """Return a curriculum as it was before its worlds were measured."""
    stages = tuple(stage.model_copy(update={"measured": None}) for stage in curriculum.stages)
    return curriculum.model_copy(update={"stages": stages})


def _told(settings: Mapping[str, Any]) -> dict[str, Any]:
    return dict(flatten({name: value for name, value in settings.items() if name not in _ELSEWHERE}))


def _changed(config: RunConfig) -> dict[str, Any]:
    """Return by dotted name the settings in use that are not the defaults of this method on this curriculum."""
    which = {"curriculum": config.curriculum, "method": config.method, "algo": config.algo}
    usual = make_config(**which)
    # What plays no part by default has a value all the same.
    defaults = _told(usual.model_dump(mode="json")) | _told(settings_in_use(usual))
    mine = _told(settings_in_use(config))
    changed = {name: value for name, value in mine.items() if value != defaults.get(name)}
    # What is usual goes by other settings: with those of them that were changed it may come to something else.
    again = _told(settings_in_use(make_config(**which, **_nested(changed))))
    return changed | {name: value for name, value in mine.items() if value != again.get(name)}
