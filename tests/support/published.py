"""Made-up rows of published data."""

from __future__ import annotations

from typing import Any

from clrobot.experiment.config import make_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.published.results import Result, fingerprint
from clrobot.published.tuning import Trial

MADE: dict[str, Any] = {
    "physics": 1,
    "commit": "0123456789ab",
    "torch": "2.0.0",  # that no test runs with: clrobot wants a newer one
    "mujoco": "4.0.0",
    "numpy": "2.4.6",
    "stable_baselines3": "2.9.2",
    "gymnasium": "1.4.0",
}
TASKS = ("reach", "button-press", "drawer-open")
COLUMNS = ("curriculum", "stages", "algo", "settings", "evaluation_seed", "fingerprint", *MADE)


def published(seed: int = 10, method: str = "ewc", **given: Any) -> list[Result]:
    """Return the rows of a run of `quick` with the default settings; `given` are columns, or metrics by name."""
    columns = {name: value for name, value in given.items() if name in COLUMNS}
    metrics = {name: value for name, value in given.items() if name not in COLUMNS}
    known = method != "nothing"
    usual = {
        "curriculum": "quick",
        "stages": "",
        "method": method,
        "algo": "ppo",
        "settings": "",
        "seed": seed,
        "evaluation_seed": 1_000_000,
        "fingerprint": fingerprint(make_config(curriculum="quick", method=method)) if known else "",
        "unit": "1",
        "loaded": False,
        "command": "clrobot train",
    }
    if columns.get("settings"):
        usual["fingerprint"] = fingerprint(make_config(curriculum="quick", method=method, ewc={"strength": 0.5}))
    which = usual | MADE | columns
    values = {"average_success": 0.9, "forgetting": 0.1, "memory_bytes": 1234.0} | metrics
    found = [Result(**which, stage=None, task="", metric=name, value=value) for name, value in values.items()]
    ours = CURRICULA.ours.get(str(which["curriculum"]))
    for n, task in enumerate(TASKS if ours is None or which["stages"] else ours.slots, start=1):
        for name, value in (("final", 0.9), ("stage_end", 50_000.0 * n), ("auc", 0.5), ("auc_reference", None)):
            found.append(Result(**which, stage=n, task=task, metric=name, value=value))
    return found


def trial(**columns: Any) -> Trial:
    """Return a try of ewc's strength on val5."""
    usual = {
        "curriculum": "val5",
        "method": "ewc",
        "algo": "ppo",
        "setting": "ewc.strength",
        "tried": 0.05,
        "settings": "",
        "seed": 100,
        "evaluation_seed": 1_000_000,
        "average_success": 0.9,
        "average_success_final_step": 0.8,
        "forgetting": 0.05,
        "forward_transfer_from_2": None,
        "mean_area": 0.6,
        "command": "clrobot train",
    }
    return Trial(**usual | MADE | columns)


def speed(*, skills: bool = True) -> dict[str, Any]:
    """What the bench writes, of one task and one pair."""

    def learned(seconds: float | None, reached: int = 3) -> dict[str, Any]:
        return {
            "seeds": 3,
            "reached": reached,
            "half": None,
            "learned": seconds and 1e3 * seconds,
            "seconds": seconds,
        }

    pair = {
        "task": "reach",
        "envpool_task": "MetaWorld/Reach-v3",
        "threads": 2,
        "env_steps_per_second": 30_000,
        "envpool_steps_per_second": 6_000,
        "ratio": 5.0,
        "simulated_ratio": 16.0,
        "envpool_control_step": 0.0125,
    }
    learning = {
        "tasks": {
            "reach": {"clrobot": learned(2.0), "envpool": learned(40.0)},
            "drawer-open": {"clrobot": learned(5.0), "envpool": learned(None, 1)},
        }
    }
    return {
        "machine": {
            "cpu_count": 2,
            "machine": "x86_64",
            "versions": {"mujoco": "4.0.0"},
            "commit": "0123456789abcdef",
            "physics": 1,
        },
        "num_envs": 256,
        "threads": 0,
        "tasks": {"reach": {"env_steps_per_second": 30_000, "bare_steps_per_second": 32_000, "ratio": 0.9375}},
        "ppo": {
            "task": "pick-place",
            "num_envs": 128,
            "steps_per_second": 9_000,
            "shares": {"physics": 0.4, "rest": 0.6},
        },
        "learning": {"step_ms": 2.5, "floor_ms": 2.0, "ratio": 1.25},
        "envpool": {"versions": {"envpool": "1.2.7"}, "num_envs": 256, "control_step": 0.04, "pairs": [pair]}
        | ({"learning": learning} if skills else {}),
    }
