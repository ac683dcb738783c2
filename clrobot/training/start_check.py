"""Whether a method can begin new slots as the settings choose, and its gradient be clipped so: refused at once."""

from __future__ import annotations

from clrobot.agents.methods.shared.method import Method
from clrobot.errors import UserError
from clrobot.experiment.config import RunConfig, start_of
from clrobot.training.warm_start import check_oracle


def check_start(config: RunConfig, method: Method) -> None:
    """Raise UserError where the settings of `warm_start`, `gradient` or V-trace go with nothing else that is set."""
    _check_gradient(config, method)
    _check_rewards(config, method)
    start, stages = config.warm_start, config.curriculum.stages
    one_head = config.curriculum.heads == "one"
    why_never = "with heads: one every stage begins with the same head" if one_head else method.why_no_warm_start()
    if not any(start_of(config, slot).is_on for slot in range(len(stages))):
        if start.kickstart and why_never is None and len(stages) == 1:
            why_never = f"{config.curriculum.name} has one task"
        if start.kickstart:
            remedy = "leave it out" if why_never else "choose one: --warm-start.choose test"
            because = f", and {why_never}" if why_never else ""
            raise UserError(f"--warm-start.kickstart {start.kickstart:g} needs a teacher{because}; {remedy}")
        return
    chosen = f"--warm-start.choose {start.choose}"
    if why_never is not None:
        another = "" if one_head else ", or use a method with a head for each task on one trunk"
        raise UserError(f"{chosen}: {why_never}; leave it out{another}")
    silent = [stage.name for stage in stages[1:] if not stage.tells_success]
    if start.choose == "success" and silent:
        raise UserError(f"{chosen}: nothing tells success in {silent[0]}; choose test or race, which go by rewards")
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
        if (other := next((stage.name for stage in stages if stage.overrides), None)) is not None:
            raise UserError(
                f"{chosen}: the published transfer matrix is of tasks in their usual worlds, and {other} has "
                "overrides; choose test or race"
            )
        check_oracle([stage.task for stage in stages])


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


def _check_rewards(config: RunConfig, method: Method) -> None:
    """Raise UserError where rewards of old tasks would be on another scale than what was learned of them."""
    moving = [stage.name for stage in config.curriculum.stages if not stage.native and stage.reward_scale is None]
    chosen = method.learns_old_rewards_by()
    if chosen is not None and moving:
        raise UserError(
            f"{chosen}: the scale of {moving[0]}'s rewards moves while it is learned; give its stage a reward_scale, "
            "or leave that out"
        )
