"""What belongs to the machine rather than to the run, and can be given anew when a run goes on elsewhere.

It is read by the command line before torch is needed, so it imports nothing that imports torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from clrobot.agents.settings import FrozenSettings
from clrobot.errors import UserError, explain

# The same settings in a run's configuration have these types too: a bound stands once.
Tracker = Literal["none", "wandb", "mlflow", "trackio"]
Device = Annotated[str, Field(max_length=100)]
MemoryLimit = Annotated[int, Field(ge=0, le=2**24)]  # MiB
SnapshotSeconds = Annotated[float, Field(ge=0, le=1e9)]
PhysicsThreads = Annotated[int, Field(ge=0, le=1_024)]


class Machine(FrozenSettings):
    """Where and how a training goes on; what is None stays as the run's settings have it.

    Raises:
        UserError: a value cannot be.
    """

    tracker: Tracker = "none"
    """An experiment tracker to tell; the run's own files open none."""
    device: Device | None = None
    """Where the networks live now; another device gives other bits."""
    memory_limit_mb: MemoryLimit | None = None
    """The most that the method may keep now, in MiB."""
    films: bool | None = None
    """Whether to film each skill after each stage."""
    snapshot_seconds: SnapshotSeconds | None = None
    """Seconds between two snapshots."""
    threads: PhysicsThreads | None = None
    """Of the physics; 0: all cores that the process may use. Any number gives the same bits."""

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_sentence(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(data)
        except ValidationError as error:
            raise UserError(explain(error)) from error
