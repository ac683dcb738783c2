"""The scripted experts. Adding one is its file and one line here."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

import numpy as np

from clrobot.envs.arrays import Array
from clrobot.envs.experts.button_press import ButtonPressExpert
from clrobot.envs.experts.dial_turn import DialTurnExpert
from clrobot.envs.experts.door_close import DoorCloseExpert
from clrobot.envs.experts.door_open import DoorOpenExpert
from clrobot.envs.experts.drawer_close import DrawerCloseExpert
from clrobot.envs.experts.drawer_open import DrawerOpenExpert
from clrobot.envs.experts.expert import Expert
from clrobot.envs.experts.hammer import HammerExpert
from clrobot.envs.experts.lever_pull import LeverPullExpert
from clrobot.envs.experts.peg_insert import PegInsertExpert
from clrobot.envs.experts.peg_unplug import PegUnplugExpert
from clrobot.envs.experts.pick_place import PickPlaceExpert
from clrobot.envs.experts.push import PushExpert
from clrobot.envs.experts.reach import ReachExpert
from clrobot.envs.experts.shelf_place import ShelfPlaceExpert
from clrobot.envs.experts.stack import StackExpert
from clrobot.envs.experts.window_close import WindowCloseExpert
from clrobot.envs.simulation.features import Mask
from clrobot.envs.simulation.overrides import Overrides
from clrobot.envs.simulation.simulation import HORIZON, Simulation

EXPERTS: tuple[type[Expert], ...] = (
    ReachExpert,
    ButtonPressExpert,
    DrawerOpenExpert,
    PickPlaceExpert,
    PushExpert,
    StackExpert,
    PegUnplugExpert,
    PegInsertExpert,
    ShelfPlaceExpert,
    HammerExpert,
    DrawerCloseExpert,
    DoorOpenExpert,
    DoorCloseExpert,
    WindowCloseExpert,
    LeverPullExpert,
    DialTurnExpert,
)

EXPERTS_BY_ID = {expert.task.id: expert for expert in EXPERTS}


class ExpertEpisodes(NamedTuple):
    """What an expert did in N episodes."""

    success: Mask  # solved at any step, (N,)
    success_final: Mask  # solved at the last step, (N,)
    returns: Array  # summed rewards, (N,)


def expert(task_id: str) -> type[Expert]:
    """Return the expert of the task of that id: `expert("reach")(simulation)` is a policy.

    Raises:
        ValueError: there is none.
    """
    if task_id not in EXPERTS_BY_ID:
        close = get_close_matches(task_id, EXPERTS_BY_ID, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(EXPERTS_BY_ID)}"
        raise ValueError(f"no expert for a task {task_id!r}; {hint}")
    return EXPERTS_BY_ID[task_id]


def run_expert(
    task_id: str, episodes: int, seed: int = 0, *, threads: int = 0, overrides: Overrides | None = None
) -> ExpertEpisodes:
    """Play `episodes` episodes of a task's expert side by side; episode i starts from the seed ``seed + i``.

    A simulation that diverges ends its episode there. An expert reads the true state: of a world's overrides (see
    `overrides.OVERRIDES`), `sensor.noise` does not reach it.

    Raises:
        ValueError: there is no such expert, less than one episode is asked for, or an override is not valid.
    """
    chosen = expert(task_id)
    if episodes < 1:
        raise ValueError(f"{episodes} episodes; expected at least one")
    sim = Simulation(chosen.task(), episodes, threads, overrides)
    sim.seed(range(seed, seed + episodes))
    sim.reset()
    policy, features, returns = chosen(sim), sim.features(), np.zeros(episodes)
    for _ in range(HORIZON):
        features, rewards = sim.step(policy(features))
        returns += rewards
    return ExpertEpisodes(sim.solved.copy(), sim.solved_now.copy(), returns)
