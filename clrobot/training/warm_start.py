"""How the new slot of a stage begins: which earlier one it is a copy of, and what it took to find out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clrobot.agents.algorithms.learner import Learner
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.vec_env import TrainEnv
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, start_of
from clrobot.results.grown import Grown
from clrobot.runs.transfer_file import Transfer, published_transfer
from clrobot.training.ledger import Ledger
from clrobot.training.plan import StagePlan
from clrobot.training.race import Race
from clrobot.training.seeds import seed_for
from clrobot.training.trial import clearly_better, is_above, ranked, solver, try_slots

LEAST_GAIN = 0.1  # of forward transfer: the matrix has one training of each pair, and what is less is chance


def begin_new_slot(
    config: RunConfig,
    learner: Learner,
    method: Method,
    plan: StagePlan,
    env: TrainEnv,
    ledger: Ledger,
    pause: Callable[[str], None],
) -> Grown | None:
    """Let the slot of a stage that begins, whose head is there, begin as the settings choose; note it in the ledger.

    It depends on what the stage is given and on its seed alone, and leaves every generator as it was: a stage that is
    resumed before its first snapshot chooses the same once more.

    Args:
        config: the run's settings.
        learner: what is to learn.
        method: the continual-learning method.
        plan: of the stage.
        env: its simulations, seeded.
        ledger: what the choice took is counted there.
        pause: called with what takes time now.

    Returns:
        How it has begun; None where there was no choice.
    """
    slot = plan.slot
    start = start_of(config, slot)
    if not start.is_on or slot == 0:
        return None

    def begin(chosen: int) -> None:
        if chosen != slot:
            learner.begin_as(chosen, actor=start.actor == "copy", critic=start.critic == "copy")

    if plan.begin.spent:
        pause(f"trying {start.tried(slot)} starts of {config.curriculum.slots[slot]}")
    with ledger.timed("method"):
        order = _order(config, learner, plan)
        learner.algorithm.spend(learner.model, plan.begin.spent)
        chosen = order[0]
        if plan.begin.racers > 1:
            race = Race(config, learner, method, plan, env)
            chosen = race.winner(order[: plan.begin.racers], begin)
            ledger.method_gradient_steps += race.losers_updates
        begin(chosen)
    ledger.method_environment_steps += plan.begin.spent
    grown = Grown(slot=slot, source=None if chosen == slot else chosen, trial_steps=plan.begin.spent)
    ledger.grown.append(grown)
    return grown


def _order(config: RunConfig, learner: Learner, plan: StagePlan) -> list[int]:
    """Return the slots as which the new one may begin, what is chosen first; its own index stands for anew."""
    slot = plan.slot
    start = start_of(config, slot)
    seed = seed_for(config.seed, "trial", plan.stage)
    if start.choose == "newest":
        return [slot - 1]
    if start.choose == "random":
        return [int(np.random.default_rng(seed).integers(slot))]
    if start.choose == "oracle":
        return [by_transfer(published_transfer(), [s.task for s in config.curriculum.stages[: slot + 1]])]
    trial = try_slots(config, learner.policy, slot, seed)
    if start.choose in ("success", "clear"):
        chosen = solver(trial, start.solves) if start.choose == "success" else clearly_better(trial, start.times)
        return [slot if chosen is None else chosen]
    returns = trial.returns
    best = ranked(returns[:-1])
    if start.choose == "race":
        return [slot, *best]
    above = (
        is_above(returns[best[0]], returns[slot])
        if start.choose == "test"
        else bool(returns[best[0]].mean() > returns[slot].mean())
    )
    return [best[0] if above else slot]


def by_transfer(transfer: Transfer, tasks: list[str]) -> int:
    """Return the slot from which most is transferred to the last of these tasks, or the last one itself: anew.

    It begins anew where that is less than LEAST_GAIN. The same task once more is recall, and is taken first, the
    newest one.

    Args:
        transfer: forward transfer from a task to another.
        tasks: of the slots, in order.

    Raises:
        UserError: the matrix lacks a pair.
    """
    slot, task = len(tasks) - 1, tasks[-1]
    again = [k for k in range(slot) if tasks[k] == task]
    if again:
        return again[-1]
    gains = [_of_pair(transfer, earlier, task) for earlier in tasks[:slot]]
    best = int(np.argmax(gains))
    return best if gains[best] >= LEAST_GAIN else slot


def check_oracle(tasks: list[str]) -> None:
    """Raise UserError where the published matrix lacks a pair that a curriculum of these tasks needs."""
    transfer = published_transfer()
    for slot in range(1, len(tasks)):
        by_transfer(transfer, tasks[: slot + 1])


def _of_pair(transfer: Transfer, source: str, target: str) -> float:
    if (source, target) not in transfer:
        raise UserError(
            f"--warm-start.choose oracle: the published transfer matrix has no {source} → {target}; "
            "choose test or race, which need none"
        )
    return transfer[source, target]
