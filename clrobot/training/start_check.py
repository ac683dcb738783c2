"""Whether a method can begin new slots as the settings choose, and its gradient be clipped so: refused at once."""

from __future__ import annotations

from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, start_of
from clrobot.training.warm_start import check_oracle


def check_start(config: RunConfig, method: Method) -> None:
    """Raise UserError where the settings of `warm_start` or `gradient` go with nothing else that is set."""
    _check_gradient(config, method)
    start = config.warm_start
    if not any(start_of(config, slot).is_on for slot in range(len(config.curriculum.stages))):
        if start.kickstart:
            raise UserError(
                f"--warm-start.kickstart {start.kickstart:g} needs a teacher; choose one: --warm-start.choose test"
            )
        return
    chosen = f"--warm-start.choose {start.choose}"
    if config.curriculum.heads == "one":
        raise UserError(f"{chosen}: with heads: one every stage begins with the same head; leave it out")
    if (reason := method.why_no_warm_start()) is not None:
        raise UserError(f"{chosen}: {reason}; leave it out, or use a method with a head for each task on one trunk")
    if start.actor == start.critic == "fresh" and not start.kickstart:
        raise UserError(
            f"{chosen} with a fresh actor and a fresh critic changes nothing; copy one of them, or give "
            "--warm-start.kickstart 1"
        )
    if start.choose == "race" and not config.plasticity.reset_optimizer:
        raise UserError(
            f"{chosen}: each racer needs fresh moments; leave out --plasticity.no-reset-optimizer, or choose test"
        )
    if start.choose == "oracle":
        check_oracle([stage.task for stage in config.curriculum.stages])


def check_several_tasks(config: RunConfig) -> None:
    """Raise UserError where a new slot is to begin as an earlier one, and there is but one."""
    if config.warm_start.choose not in ("none", "usual") and len(config.curriculum.stages) == 1:
        raise UserError(
            f"--warm-start.choose {config.warm_start.choose} needs two tasks or more, and {config.curriculum.name} "
            "has one; leave it out, or add a task"
        )


def _check_gradient(config: RunConfig, method: Method) -> None:
    if config.gradient.clip == "sum":
        return
    if config.algo != "ppo":
        raise UserError(f"--gradient.clip apart: the gradients of {config.algo} are not clipped at all; leave it out")
    if not method.only_adds():
        raise UserError(
            f"--gradient.clip apart: {config.method} does more to the gradient than to add one; leave it out"
        )
