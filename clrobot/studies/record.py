"""What a study's folder says of the study itself: `study.yaml`, and its runs in `study-runs.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from clrobot.errors import UserError, explain, shown
from clrobot.files import atomic, read_own
from clrobot.studies.plan import Plan
from clrobot.studies.study import Study
from clrobot.studies.study_file import read_data

STUDY_FILE: Final = "study.yaml"
RUNS_FILE: Final = "study-runs.json"
_MOST_BYTES = 256 * 2**20


class PlannedRun(BaseModel):
    """A run as a study planned it: what tells how far its folder has come, without its settings being read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    folder: str
    curriculum: str
    method: str
    algo: str
    seed: int
    slots: list[str]
    steps: list[int]
    """Of each stage."""


class _Runs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    study: str
    runs: list[PlannedRun]


def check_place(study: Study, out: Path) -> None:
    """See that a study may go into a folder.

    Raises:
        UserError: it is a run, or holds another study; what differs is named.
    """
    if (out / "config.yaml").exists():
        raise UserError(f"{out} is a run; give another --out: a study makes a folder for each of its runs")
    if not (out / STUDY_FILE).exists():
        return
    there, here = read_data(out / STUDY_FILE), study.to_data()
    if there.get("name") == study.name:
        return
    names = [name for name in Study.model_fields if there.get(name) != here.get(name)]
    raise UserError(
        f"{out} holds the study {shown(there.get('name'))} and not {shown(study.name)}; they differ in "
        f"{', '.join(names)}: give another --out"
    )


def no_longer_planned(plans: Sequence[Plan], out: Path) -> list[str]:
    """Return the names of the runs in a study's folder that the study does not have (any more)."""
    planned = {plan.folder.name for plan in plans}
    if not out.is_dir():
        return []
    return sorted(e.name for e in out.iterdir() if e.name not in planned and (e / "config.yaml").is_file())


def write_record(study: Study, plans: Sequence[Plan], out: Path) -> None:
    """Write a study as it is trained into its folder."""
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / STUDY_FILE) as file:
        file.write_text(yaml.safe_dump(study.to_data(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    runs = _Runs(study=study.name, runs=[planned_run(plan) for plan in plans])
    with atomic(out / RUNS_FILE) as file:
        file.write_text(f"{runs.model_dump_json(indent=1)}\n", encoding="utf-8")


def read_record(out: Path) -> tuple[str, list[PlannedRun]]:
    """Return the name and the runs of the study in a folder.

    Raises:
        UserError: there is none, or its file is damaged.
    """
    path = out / RUNS_FILE
    if not path.is_file():
        raise UserError(f"{out} holds no study ({RUNS_FILE} is missing); give a folder that `clrobot study` made")
    try:
        found = _Runs.model_validate_json(read_own(path, _MOST_BYTES))
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {explain(error)}; `clrobot study` writes it anew") from None
    for run in found.runs:
        if Path(run.folder).name != run.folder or run.folder in ("", "..") or len(run.slots) != len(run.steps):
            raise UserError(f"{path} is damaged: `folder` is {run.folder!r}; `clrobot study` writes it anew")
    return found.study, found.runs


def planned_run(plan: Plan) -> PlannedRun:
    """Return what a study's file says of a run."""
    config = plan.config
    return PlannedRun(
        folder=plan.folder.name,
        curriculum=config.curriculum.name,
        method=config.method,
        algo=config.algo,
        seed=config.seed,
        slots=list(config.curriculum.slots),
        steps=[stage.steps for stage in config.curriculum.stages],
    )
