"""Reference curves: each world learned alone, by one training that is long enough for every stage of it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from clrobot.envs.simulation.physics_version import PHYSICS_VERSION
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, make_algorithm, make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum, Stage
from clrobot.published.provenance import provenance
from clrobot.published.references import (
    EPISODES,
    EVALUATION_SEED,
    EVERY,
    WHAT,
    Reference,
    curve_text,
    learner_settings,
    world_text,
)
from clrobot.published.rows import add_rows, read_rows, settings_text
from clrobot.results.numbers import duration, grouped, number
from clrobot.results.scores import learning_curve
from clrobot.runs.score_book import read_scores
from clrobot.runs.transfer_file import BUDGET
from clrobot.training.training import train

# Of a world that no curriculum of ours has: what the longest that is learned in them takes, nearly.
_BUDGET_OF_OTHERS: Final = 200_000


def worlds_of(curricula: Iterable[Curriculum]) -> list[Stage]:
    """Return the native stages of curricula, each world once, as it comes first."""
    found: dict[tuple[str, str], Stage] = {}
    for curriculum in curricula:
        for stage in curriculum.stages:
            if stage.native:
                found.setdefault((stage.task, world_text(stage)), stage)
    return list(found.values())


def budget_of(stage: Stage) -> int:
    """Return twice the longest budget that a curriculum of ours gives a world, and what the transfer matrix takes."""
    known = [
        other.steps
        for curriculum in CURRICULA.ours.values()
        for other in curriculum.stages
        if (other.task, world_text(other)) == (stage.task, world_text(stage))
    ]
    return max(BUDGET, 2 * max(known, default=_BUDGET_OF_OTHERS))


def reference_config(base: RunConfig, stage: Stage, seed: int, steps: int) -> RunConfig:
    """Return the settings of the training that is one reference: an ordinary run of one stage.

    Args:
        base: whose algorithm, network and machine it has.
        stage: its world.
        seed: of everything random.
        steps: control steps; rounded up so that the curve's points are as far from each other as its end.

    Raises:
        UserError: the learning rate changes on the way, so that no shorter budget could be read from the curve.
    """
    algorithm = make_algorithm(base)
    group = base.model_dump(mode="json")[base.algo]
    if group.get("final_learning_rate", group["learning_rate"]) != group["learning_rate"]:
        raise UserError(
            f"{base.algo}.final-learning-rate is {group['final_learning_rate']:g}, and a reference is read up to "
            f"every budget: set it to {base.algo}.learning-rate, {group['learning_rate']:g}"
        )
    every = algorithm.whole_iterations(EVERY)
    points = max(2, -(-steps // every))  # a curve without a point within is not measured at all
    world = stage.model_dump(mode="json") | {"steps": points * every}
    return make_config(
        curriculum={"name": stage.name, "stages": [world]},
        method="finetune",
        algo=base.algo,
        seed=seed,
        network=base.network,
        plasticity=base.plasticity,
        torch_threads=base.torch_threads,
        threads=base.threads,
        device=base.device,
        task_inference={"enabled": False},
        evaluation={
            "episodes": EPISODES,
            "curve_episodes": EPISODES,
            "curve_points": points - 1,
            "stochastic": False,
            "seed": EVALUATION_SEED,
        },
        video={"enabled": False},
        checkpoint={"enabled": False},
        **{base.algo: group},
    )


def train_reference(config: RunConfig) -> Reference:
    """Train one reference; the run's folder is gone afterwards.

    Raises:
        UserError: the training went to NaN, or there is no room for it.
    """
    (stage,) = config.curriculum.stages
    with tempfile.TemporaryDirectory() as folder:
        run = train(config, Path(folder) / "run")
        (end,) = run.read_metrics().stage_ends
        curve = learning_curve(read_scores(run.scores_file), 0, [end])
        environment = run.read_environment()
    return Reference(
        **_place(config, stage),
        evaluation_seed=config.evaluation.seed,
        episodes=config.evaluation.curve_episodes,
        steps=end,
        curve=curve_text(curve),
        **{name: value for name, value in provenance(environment).items() if name != "physics"},
    )


def _place(config: RunConfig, stage: Stage) -> dict[str, object]:
    """Return the columns that say which reference it is."""
    return {
        "task": stage.task,
        "world": world_text(stage),
        "settings": settings_text(learner_settings(config)),
        "physics": PHYSICS_VERSION,
        "seed": config.seed,
    }


def missing(path: Path, configs: Sequence[RunConfig]) -> Iterator[RunConfig]:
    """Yield those of these references that a file does not have, or not as long; it is read anew before each.

    Raises:
        UserError: the file holds something else.
    """
    for config in configs:
        (stage,) = config.curriculum.stages
        rows = read_rows(path, Reference, WHAT) if path.exists() else []
        place = tuple(_place(config, stage).values())
        if not any(row.order == place and row.steps >= stage.steps for row in rows):
            yield config


def train_references(path: Path, configs: Sequence[RunConfig], tell: Callable[[str], None]) -> None:
    """Train the references that a file lacks, one after another, and put each into it as soon as it is there.

    Several processes may do so at a time; what is stopped goes on with the same call.

    Args:
        path: the file; made where there is none.
        configs: of the references, see `reference_config`.
        tell: called with a sentence for each.

    Raises:
        UserError: the file holds something else, or a training failed.
    """
    for config in missing(path, configs):
        began = time.perf_counter()
        row = train_reference(config)
        # Another process may have trained a longer one meanwhile.
        add_rows(path, [row], Reference, WHAT, stays=lambda there, new: there.steps > new.steps)
        named = row.task + (f" ({row.world})" if row.world else "")
        took = duration(time.perf_counter() - began)
        area = number(row.area(row.steps))
        tell(f"{named}, seed {row.seed}: area {area} over {grouped(row.steps)} steps, {took}")
