"""Where a training stands within a stage, beside its tensors: the content of a snapshot's `progress.json`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from clrobot.results.fields import MAX_NUMBER, MAX_SLOTS, Count
from clrobot.results.grown import Grown
from clrobot.results.stage_record import StageRecord

_MOST_POINTS = 10_000  # of a learning curve
_WINDOW = 100  # of Stable-Baselines3

_Seconds = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER)]


class Progress(BaseModel):
    """Where a training stands, beside its tensors (`progress.json`)."""

    # What is logged may be no number, such as how much of a variance of zero is explained.
    model_config = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

    stage: Annotated[int, Field(ge=1, le=MAX_SLOTS)]
    stage_start: Count
    phase: Count
    """The stage's phase, from 0."""
    step: Count
    updates: Count
    """Stable-Baselines3's own count: of epochs (PPO) or gradient steps (SAC)."""
    gradient_steps: Count
    """Of the actor, in the whole run."""
    method_gradient_steps: Count
    """Of the method's own optimizers."""
    method_environment_steps: Count
    """Control steps in which the method collected experience."""
    task_inference_steps: Count
    """Control steps from which the agent learned how its tasks look at first."""
    scores: Count
    """Lines of `scores.jsonl` that belong to the training so far."""
    curve_due: Annotated[list[Count], Field(max_length=_MOST_POINTS)]
    """Steps at which the learning curve is still to be measured."""
    curve_success: float | None
    cut: Count = 0
    """How often the stage's worlds have begun anew, where their state cannot be saved."""
    successes: Annotated[list[float], Field(max_length=_WINDOW)]
    """Stable-Baselines3's window of training successes, for its log."""
    episodes: Annotated[list[tuple[float, Count]], Field(max_length=_WINDOW)]
    """Its window of training episodes: each one's return and length."""
    log: dict[str, float]
    """Values recorded and not yet written to TensorBoard."""
    log_counts: dict[str, Count]
    log_excluded: dict[str, list[str]]
    seconds: dict[Annotated[str, Field(pattern="^(train|evaluate|method|record|save)$")], _Seconds]
    divergences: Count
    grown: Annotated[list[Grown], Field(max_length=MAX_SLOTS)] = []
    """How slots have begun that may have begun as earlier ones."""
    per_stage: Annotated[list[StageRecord], Field(max_length=MAX_SLOTS)]
    """Capacity and cost after each finished stage."""
    film_failures: Count
    worlds_made: Count = 0
    """Pools that were made, of worlds that begin anew in no other way."""
    worlds_seconds: _Seconds = 0.0
