"""What a page shows of one run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from clrobot.experiment.dotted import flatten
from clrobot.experiment.warm_start import WarmStartSettings
from clrobot.report.contents import Contents
from clrobot.report.figures.of_run import run_figures
from clrobot.report.films import Films
from clrobot.report.html import Download, Drawn, csv_link, data_link, drawn
from clrobot.results.catalogue import TASK_METRICS, Metric
from clrobot.results.fields import Matrix, own_stage
from clrobot.results.numbers import number
from clrobot.results.run_metrics import RunMetrics
from clrobot.results.scores import Score
from clrobot.runs.remarks import transfer_remarks


class Cell(NamedTuple):
    """One score of the matrix, and the film that shows it.

    Attributes:
        stage: from 1; 0 is the untrained agent.
        slot: from 0.
        value: None where it is not measured yet, or nothing in the task's world tells success.
        video: the film's address, or None where none was recorded.
        return_mean: of a task of which nothing tells success: it is shown in its place.
        in_sequence: whether each stage trains its own task alone.
    """

    stage: int
    slot: int
    value: float | None
    video: str | None
    return_mean: float | None
    in_sequence: bool

    @property
    def own(self) -> bool:
        """Whether the stage is the one that trained the slot, and no other."""
        return self.in_sequence and self.stage == own_stage(self.slot)

    @property
    def ahead(self) -> bool:
        """Whether the slot was still to be trained."""
        return self.stage < (own_stage(self.slot) if self.in_sequence else 1)


class Skill(NamedTuple):
    """A task, and those that grew from it.

    Attributes:
        task: its name.
        slot: its slot, from 0.
        trial_steps: control steps that it took to choose how it begins; None: there was no choice.
        grown: in the order in which they were trained.
    """

    task: str
    slot: int
    trial_steps: int | None
    grown: list[Skill]


@dataclass
class RunSection:
    """What the page shows of one run.

    Attributes:
        id: begins the ids of the run's elements.
        name: what the run is called on this page.
        run: its files.
        environment: names and values of what it was made with.
        task_columns: those of `TASK_METRICS` that it has.
        matrix: a row for each stage, from the untrained agent's on, and a column for each slot.
        matrix_final: the same of success at an episode's final step.
        drops: isolated forgetting: a row for each stage but the first, a column for each task but the last.
        skills: which skill grew from which: those that began anew; none where nothing could begin otherwise.
        growing: what a skill has of the one that it grew from.
        curves: its learning curves.
        curves_summary: the same in words.
        remarks: against what its forward transfer is measured, sentences.
        downloads: its files.
    """

    id: str
    name: str
    run: Contents
    environment: list[tuple[str, str]]
    task_columns: list[Metric]
    matrix: list[list[Cell]]
    matrix_final: list[list[Cell]]
    drops: list[tuple[float | None, ...]]
    skills: list[Skill]
    growing: str
    curves: Drawn
    curves_summary: str
    remarks: list[str]
    downloads: list[Download]

    @property
    def metrics(self) -> RunMetrics:
        """The run's."""
        return self.run.metrics

    @property
    def in_sequence(self) -> bool:
        """Whether each stage trains its own task alone."""
        return self.run.in_sequence

    @property
    def films(self) -> int:
        """How many films there are to see."""
        return sum(cell.video is not None for row in self.matrix for cell in row)

    @property
    def silent(self) -> list[str]:
        """The tasks of which nothing tells success."""
        names = self.metrics.slot_names
        return [names[cell.slot] for cell in self.matrix[0] if cell.value is None and cell.return_mean is not None]


def run_section(run: Contents, films: Films, name: str, n: int = 0) -> RunSection:
    """Return what the page shows of one run.

    Args:
        run: its files.
        films: finds its films.
        name: what it is called on this page.
        n: counts the runs of a page from 1; 0 is a page of one.
    """
    metrics = run.metrics
    names = metrics.slot_names
    addresses = [films.of_stage(run.path, stage) for stage in range(len(names) + 1)]
    prefix = f"run-{n}-" if n else ""
    return RunSection(
        id=prefix,
        name=name,
        run=run,
        environment=[
            (key.removeprefix("versions."), value if isinstance(value, str) else json.dumps(value))
            for key, value in flatten(run.environment)
            if not key.startswith("fingerprint.") or key.endswith(".sha256")  # its numbers are for `clrobot verify`
        ],
        task_columns=[
            column
            for column in TASK_METRICS
            if not column.optional or any(getattr(task, column.name) is not None for task in metrics.per_task)
        ],
        matrix=_cells(run, addresses, metrics.success_matrix),
        matrix_final=_cells(run, addresses, metrics.success_matrix_final),
        drops=[row[:-1] for row in metrics.isolated_forgetting[1:]],
        skills=skills(metrics),
        growing=growing(run.config.warm_start),
        curves=draw_curves(run, prefix),
        curves_summary=_curves_summary(metrics),
        remarks=transfer_remarks(run.config, run.metrics, run.environment),
        downloads=_downloads(run),
    )


def _cells(run: Contents, addresses: list[dict[str, str]], matrix: Matrix) -> list[list[Cell]]:
    silent = {(score.stage, score.slot): score.return_mean for score in run.scores if score.success_any is None}
    in_sequence = run.in_sequence

    def cell(stage: int, slot: int, name: str, value: float | None) -> Cell:
        film, told = addresses[stage].get(f"{name}.mp4"), silent.get((stage, slot))
        return Cell(stage, slot, value, film, told, in_sequence)

    names = run.metrics.slot_names
    return [
        [cell(stage, slot, name, row[slot]) for slot, name in enumerate(names)] for stage, row in enumerate(matrix)
    ]


def draw_curves(run: Contents, salt: str) -> Drawn:
    """Return a run's learning curves; `salt` keeps the figure's ids apart from other figures'."""
    return drawn(run_figures(run)["learning_curves"], salt)


def growing(start: WarmStartSettings) -> str:
    """Return what a skill below another has of it, as a clause."""
    parts = {
        "began as a copy of it": start.actor == start.critic == "copy",
        "began as a copy of its actor": start.actor == "copy" != start.critic,
        "began with a copy of its critic": start.critic == "copy" != start.actor,
        "had it as a teacher": start.kickstart > 0,
    }
    return " and ".join(words for words, said in parts.items() if said)


def skills(metrics: RunMetrics) -> list[Skill]:
    """Return which of a run's skills grew from which, those first that began anew; none where there was no choice."""
    if not metrics.grown:
        return []
    found: dict[str, Skill] = {}
    anew: list[Skill] = []
    for task in metrics.per_task[: metrics.stages_done]:
        skill = found[task.task] = Skill(task.task, task.slot, task.trial_steps, [])
        (anew if task.grown_from is None else found[task.grown_from].grown).append(skill)
    return anew


def _curves_summary(metrics: RunMetrics) -> str:
    """Return the learning curves in words, for who cannot see them."""
    tasks = [
        f"{task.task} reached {number(task.learned)} in its own stage and ended at {number(task.final)}"
        if task.learned is not None
        else f"{task.task} ended at {number(task.final)}"
        for task in metrics.per_task
        if task.final is not None
    ]
    none = "Nothing tells the success of any" if metrics.stages_done else "No stage has finished"
    return "Success of every task over the run. " + ("; ".join(tasks) or none) + "."


def _downloads(run: Contents) -> list[Download]:
    names = run.metrics.slot_names
    columns = list(Score.model_fields)
    scores = [[*score.model_dump(mode="json").values(), names[score.slot]] for score in run.scores]
    rows = ["before training", *names]
    matrix = [[n, rows[n], *row] for n, row in enumerate(run.metrics.success_matrix)]
    return [
        Download("metrics.json", data_link("application/json", run.texts["metrics.json"])),
        Download("scores.jsonl", data_link("application/jsonl", run.texts["scores.jsonl"])),
        Download("scores.csv", csv_link([[*columns, "task"], *scores])),
        Download("success_matrix.csv", csv_link([["stage", "task trained", *names], *matrix])),
    ]
