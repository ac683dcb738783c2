"""What belongs to the machine rather than to the run, and can be given anew when a run goes on elsewhere."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clrobot.agents.settings import FrozenSettings
from clrobot.errors import UserError
from clrobot.experiment.config import CheckpointSettings, RunConfig, Tracker, VideoSettings


class Machine(FrozenSettings):
    """Where and how a training goes on; what is None stays as the run's settings have it."""

    tracker: Tracker = "none"
    """An experiment tracker to tell as well: never the one that the run's files name."""
    device: str | None = None
    """Where the networks live; another one than the run's gives other bits."""
    memory_limit_mb: Annotated[int, Field(ge=0)] | None = None
    """The most that the method may keep beside the policy, in MiB."""
    films: bool | None = None
    """Whether to record each task seen so far after each stage."""
    snapshot_seconds: Annotated[float, Field(ge=0)] | None = None
    """Seconds between two snapshots."""
    threads: Annotated[int, Field(ge=0, le=1024)] | None = None
    """Threads of the physics; 0: all cores that the process may use."""

    def applied_to(self, config: RunConfig) -> RunConfig:
        """Return a run's settings as they hold on this machine; the run's own file stays as it is.

        Raises:
            UserError: one of them would make it another run.
        """
        changes: dict[str, object] = {"tracker": self.tracker}
        if self.device is not None:
            changes["device"] = self.device
        if self.memory_limit_mb is not None:
            changes["memory_limit_mb"] = self.memory_limit_mb
        if self.films is not None:
            changes["video"] = VideoSettings(enabled=self.films, episodes=config.video.episodes)
        if self.snapshot_seconds is not None:
            if not config.curriculum.saves_state:
                raise UserError(
                    f"--snapshot-seconds {self.snapshot_seconds:g}: this run's worlds begin anew at every snapshot, "
                    f"and one every {config.checkpoint.steps:,} steps is part of what it is; leave it out"
                )
            changes["checkpoint"] = CheckpointSettings(
                seconds=self.snapshot_seconds, enabled=config.checkpoint.enabled
            )
        if self.threads is not None:
            changes["threads"] = self.threads
        return config.model_copy(update=changes)
