"""How a new slot begins: as a copy of an earlier one, or anew; and how the method's gradient is added."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from pydantic import Field
from typing_extensions import override

from clrobot.agents.settings import FrozenSettings

Choice = Literal["usual", "none", "newest", "return", "test", "success", "clear", "race", "random", "oracle"]

CHEAP: Final = 0.2  # of a stage's steps: a trial that takes more is not usual


class WarmStartSettings(FrozenSettings):
    """A new skill begins where an old one ends (after ClonEx, Wołczyk et al. 2022)."""

    choose: Choice = "usual"
    """Which earlier slot a new one begins as: none; the newest; by a trial of each on the new task the one of the
    best mean return; that one if a t-test puts it above a fresh head; the one that solves it most often there, if it
    does often enough (success); the one that solves it mostly, or whose mean return is many times a fresh head's,
    fewer if it solves it (clear); the best after a race; any at random; or the best by the published transfer matrix.
    Usual is clear where it is cheap: PPO, one head a task on one trunk (or columns alike), a world that tells
    success, a trial of at most a fifth of the stage; elsewhere none."""
    trial_envs: int = Field(4, ge=2, le=65_536)
    """Simulations in which each slot is tried. With more the choice is surer and the stage shorter: over the transfer
    matrix what eight choose better than four does not pay for them."""
    trial_steps: int = Field(100, ge=1, le=1_000_000)
    """Control steps of each of them, from an episode's start."""
    solves: float = Field(0.1, gt=0, le=1)
    """Success: the least share of the trial's simulations in which the chosen slot solves the new task."""
    times: float = Field(6.0, ge=1, le=1e3)
    """Clear: how many times a fresh head's mean return the chosen slot's is at least, where it solves the task in the
    trial; the square of it where it does not. Of costs it is the other way round."""
    racers: int = Field(3, ge=2, le=1_000)
    """Starts that race: the fresh one, and the best of the trial."""
    race_share: float = Field(0.03, gt=0, lt=1)
    """Share of the stage for which each of them learns."""
    actor: Literal["copy", "fresh"] = "copy"
    """Whether the chosen slot's actor is copied; fresh: it is a teacher alone, see `kickstart`."""
    critic: Literal["copy", "fresh"] = "copy"
    """Whether its critic is."""
    kickstart: float = Field(0.0, ge=0, le=1e6)
    """λ: weight of the divergence from the chosen slot's policy at the stage's start; it falls to 0; 0 is off."""
    kickstart_share: float = Field(0.3, gt=0, le=1)
    """Share of the stage after which λ is 0, from where it begins to learn: a trial has taken some."""

    @property
    def is_on(self) -> bool:
        """Whether a new slot may begin otherwise than anew."""
        return self.choose != "none"

    @property
    def tries(self) -> bool:
        """Whether slots are tried on the new task."""
        return self.choose in ("return", "test", "success", "clear", "race")

    def tried(self, earlier: int) -> int:
        """Return how many slots a trial has, of so many earlier ones and the fresh one.

        With `success` the fresh one is left out: a head that was not learned solves hardly anything.
        """
        return earlier + (self.choose != "success")

    @override
    def idle_with(self, algorithm: str) -> set[str]:
        """Return the names of settings that play no part beside the others, whatever the algorithm."""
        if not self.is_on:
            return {*type(self).model_fields} - {"choose"}
        plays = {
            "trial_envs": self.tries,
            "trial_steps": self.tries,
            "solves": self.choose == "success",
            "times": self.choose == "clear",
            "racers": self.choose == "race",
            "race_share": self.choose == "race",
            "kickstart_share": self.kickstart > 0,
        }
        return {name for name, part in plays.items() if not part}

    def cost(self, earlier: int, race: int) -> StartCost:
        """Return what it takes to choose among so many earlier slots, where a race takes `race` steps of each."""
        trial = self.trial_envs * self.trial_steps * self.tried(earlier) if self.tries and earlier else 0
        racers = min(self.racers, earlier + 1) if self.choose == "race" and earlier else 1
        return StartCost(trial=trial, racers=racers, race=race if racers > 1 else 0)


class StartCost(NamedTuple):
    """What it takes to choose how a slot begins, in control steps; all of it comes off the stage's."""

    trial: int  # of all slots together
    racers: int  # 1: there is no race
    race: int  # of each racer

    @property
    def spent(self) -> int:
        """Steps in which nothing of what goes on was learned: the trial's, and the losers'."""
        return self.trial + (self.racers - 1) * self.race


class GradientSettings(FrozenSettings):
    """How the algorithm's and the method's gradients become one."""

    clip: Literal["sum", "apart"] = "sum"
    """What is clipped: their sum; or each apart, so that the method's does not crowd out the algorithm's."""
    share: float = Field(1.0, gt=0, le=1e6)
    """Apart: the norm of the method's, at most, as a share of the norm to which the algorithm's is clipped."""

    @override
    def idle_with(self, algorithm: str) -> set[str]:
        """Return the names of settings that play no part beside the others, whatever the algorithm."""
        return {"share"} if self.clip == "sum" else set()

    @property
    def apart(self) -> float | None:
        """The share where they are clipped apart, or None."""
        return self.share if self.clip == "apart" else None
