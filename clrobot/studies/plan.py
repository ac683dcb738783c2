"""From a study to its runs: each one's settings, and the folder that is named by what determines it."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from clrobot.errors import UserError, explain, most_telling, shown
from clrobot.experiment.config import CHANGES_NO_SCORE, RunConfig, full_config_class, make_config
from clrobot.experiment.curriculum import Curriculum
from clrobot.files import at_home
from clrobot.studies.grid import Choice, Grid, method_grid, settings_grid
from clrobot.studies.study import Study, Wrong

MOST_RUNS: Final = 100_000
_MOST_CHARACTERS = 120  # of a run's folder; with `.yaml` and a hash it is far from what a disk takes
_DEFAULT_ALGORITHM = RunConfig.model_fields["algo"].default


@dataclass(frozen=True)
class Plan:
    """One run of a study."""

    folder: Path
    config: RunConfig


def plan_study(study: Study, out: Path, base: RunConfig | None = None) -> list[Plan]:
    """Return the runs, each with its folder below `out`; all is validated before anything is made.

    Args:
        study: what they are.
        out: the study's folder.
        base: settings where the study says nothing, its curriculum too; None: the defaults.

    Raises:
        Wrong: something cannot be, or two runs would have one folder.
    """
    out = at_home(out)
    usual = make_config() if base is None else base
    everywhere = settings_grid(study, usual)
    plans: dict[str, Plan] = {}
    parts = itertools.product(_in_orders(study), study.algorithms, study.methods)
    runs = 0
    for curriculum, algorithm, method in parts:
        grid = [*method_grid(method, study.methods[method], usual), *_in_use(everywhere, algorithm, method)]
        runs += len(study.seeds) * math.prod(map(len, grid))
        if runs > MOST_RUNS:
            raise Wrong((), f"a study of {runs:,} runs or more; expected {MOST_RUNS:,} at most: make several of it")
        for seed, choices in itertools.product(study.seeds, itertools.product(*grid)):
            config = _config(curriculum, algorithm, method, seed, choices, base)
            name = run_name(curriculum.name, method, algorithm, seed, choices, usual.algo)
            other = plans.setdefault(name.casefold(), Plan(out / name, config))
            if other.config is not config:
                raise _one_folder(study, other)
    return list(plans.values())


def run_name(
    curriculum: str,
    method: str,
    algorithm: str,
    seed: int,
    choices: Sequence[Choice],
    usual_algorithm: str = _DEFAULT_ALGORITHM,
) -> str:
    """Return the name of a run's folder: `cr4-ewc-ewc.strength=0.1-10`.

    It is made of what the run itself is given and of nothing else in the study, so that it stays when the study
    grows: its method's settings, and of those for all runs the ones that are given as lists. What cannot stand in a
    file's name, or is too long for one, is replaced, and a hash tells it from others.
    """
    parts = [curriculum, method, *([algorithm] if algorithm != usual_algorithm else [])]
    parts += [f"{c.name}={c.text}" for c in choices if c.named and c.name.partition(".")[0] not in CHANGES_NO_SCORE]
    exact = "-".join(parts)
    safe = re.sub(r"[^\w.=+,@ -]", "_", exact)
    safe = "_" + safe[1:] if safe[0] in " .-" else safe
    if safe != exact or len(safe.encode()) > _MOST_CHARACTERS:
        digest = hashlib.sha256(exact.encode()).hexdigest()[:8]
        safe = f"{safe.encode()[:_MOST_CHARACTERS].decode(errors='ignore')}-{digest}"
    return f"{safe}-{seed}"


def _in_orders(study: Study) -> Iterator[Curriculum]:
    """Yield each curriculum in each order; 0 is as written.

    Raises:
        Wrong: two orders are one sequence.
    """
    for n, curriculum in enumerate(study.curricula):
        if curriculum.order == "seed" and study.orders != (0,):
            raise Wrong(
                ("orders",), f"{curriculum.name} has an order drawn from each run's seed; leave out `orders` or it"
            )
        seen: dict[tuple[Any, ...], int] = {}
        for i, order in enumerate(study.orders):
            shuffled = in_order(curriculum, order)
            first = seen.setdefault(shuffled.stages, order)
            if first != order:
                raise Wrong(
                    ("orders", i),
                    f"orders {first} and {order} of curriculum {n + 1}, {curriculum.name}, are the same sequence; "
                    "leave one out",
                )
            yield shuffled


def in_order(curriculum: Curriculum, order: int) -> Curriculum:
    """Return a curriculum with its stages shuffled by the seed `order`, which its name then says; 0: as written."""
    if order == 0:
        return curriculum
    places = np.random.default_rng([order, len(curriculum.stages)]).permutation(len(curriculum.stages))
    return curriculum.with_stages(
        tuple(curriculum.stages[i] for i in places), name=f"{curriculum.name}-order-{order}"
    )


def _in_use(everywhere: Sequence[Grid], algorithm: str, method: str) -> list[Grid]:
    """Return what concerns a run of the settings for all runs: of algorithms and methods its own alone."""
    used = {None, algorithm, *method.split("+")}
    return [choices for choices in everywhere if choices[0].of in used]


def _config(
    curriculum: Curriculum,
    algorithm: str,
    method: str,
    seed: int,
    choices: Sequence[Choice],
    base: RunConfig | None,
) -> RunConfig:
    settings: dict[str, Any] = {} if base is None else base.model_dump(mode="json")
    settings |= {"curriculum": curriculum, "method": method, "algo": algorithm, "seed": seed}
    for choice in choices:
        *groups, last = choice.name.split(".")
        inner = settings
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = choice.value
    try:
        return full_config_class().model_validate(settings)
    except ValidationError as error:
        name = ".".join(str(part) for part in most_telling(error)["loc"])
        blamed = next((c for c in choices if f"{name}.".startswith(f"{c.name}.")), None)
        raise Wrong(("methods", method) if blamed is None else blamed.where, explain(error)) from error
    except UserError as error:
        raise Wrong(("methods", method), str(error)) from error


def _one_folder(study: Study, one: Plan) -> Wrong:
    names = [curriculum.name.casefold() for curriculum in study.curricula]
    if len(set(names)) < len(names):
        twice = next(i for i, name in enumerate(names) if name in names[:i])
        return Wrong(
            ("curricula", twice), f"two curricula are called {shown(study.curricula[twice].name)}; rename one of them"
        )
    return Wrong(
        ("settings",) if study.settings else (),
        f"two runs would have the folder {one.folder.name}: they differ in nothing that changes a score",
    )
