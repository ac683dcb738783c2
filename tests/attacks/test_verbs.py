"""The numbers and places that verbs take beside settings: each has bounds, and is refused before anything is made.

A reader's further one is one more line in REFUSED.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]

# Words, and what the sentence says.
REFUSED: dict[str, tuple[list[str], str]] = {
    "sheet: pictures of 10^8": (["sheet", "--size", "100000000"], "--size 100000000; expected 1,000 at most"),
    "sheet: 10^9 columns": (["sheet", "--columns", "1000000000"], "--columns 1000000000; expected 1,000 at most"),
    "sheet: a seed of 10^30": (["sheet", "--seed", str(10**30)], "--seed 1000000000000000000000000000000"),
    "sheet: nowhere": (["sheet", "--out", ""], "--out . is a folder; give the file's own name"),
    "sheet: a folder": (["sheet", "--out", "there"], "--out there is a folder"),
    "sheet: this folder": (["sheet", "--out", "."], "--out . is a folder"),
    "evaluate: 10^9 episodes": (["evaluate", "RUN", "--episodes", "1000000000"], "expected 10,000 at most"),
    "evaluate: 10^6 threads": (["evaluate", "RUN", "--threads", "1000000"], "expected 1,024 at most"),
    "evaluate: a seed of 10^30": (["evaluate", "RUN", "--seed", str(10**30)], "expected 2,147,483,647 at most"),
    "evaluate: stage 10^30": (["evaluate", "RUN", "--stage", str(10**30)], "has no checkpoint"),
    "record: 10^9 episodes": (["record", "RUN", "--episodes", "1000000000"], "expected 1,000 at most"),
    "a grid: a folder": (["record", "RUN", "--grid", "--out", "there"], "--out there is a folder"),
    "compare: nowhere": (["compare", "RUN", "--out", ""], "--out . is a folder"),
    "compare: a folder": (["compare", "RUN", "--out", "there"], "--out there is a folder"),
    "report: nowhere": (["report", "RUN", "--out", ""], "--out . is a folder"),
    "export: nowhere": (["export", "RUN", "--out", ""], "--out . is a folder"),
    "export: a folder": (["export", "RUN", "--out", "there"], "--out there is a folder"),
    "extend: a task that leads out": (["extend", "RUN", "--task", "../a", "--steps", "64"], "unknown task '../a'"),
    "extend: a task without a name": (["extend", "RUN", "--task", "", "--steps", "64"], "unknown task ''"),
    "extend: 10^30 steps": (["extend", "RUN", "--task", "push", "--steps", str(10**30)], "`steps` is 1000"),
    "resume: 10^6 threads": (["resume", "RUN", "--threads", "1000000"], "`threads` is 1000000"),
    "resume: 10^30 MiB": (["resume", "RUN", "--memory-limit-mb", str(10**30)], "`memory_limit_mb` is 1000"),
    "resume: snapshots never": (["resume", "RUN", "--snapshot-seconds", "inf"], "`snapshot_seconds` is inf"),
    "resume: a device of 10^5 letters": (["resume", "RUN", "--device", "x" * 10**5], "`device` is "),
    "sweep: 10^9 jobs": (["sweep", "--jobs", "1000000000"], "--jobs 1000000000; expected 1,024 at most"),
    "study: 10^9 jobs": (["study", "a.yaml", "--jobs", "1000000000"], "--jobs 1000000000; expected 1,024 at most"),
    "demo: 10^30 steps": (["demo", "--steps", str(10**30)], "`steps` is 1000"),
    "demo: a seed of 10^30": (["demo", "--seed", str(10**30)], "`seed` is 1000"),
    "bench: 10^9 simulations": (["bench", "--num-envs", "1000000000"], "expected 65,536 at most"),
    "bench: seconds without end": (["bench", "--seconds", "inf"], "--seconds inf"),
    "bench: no seconds": (["bench", "--seconds", "nan"], "--seconds nan"),
    "bench: a folder": (["bench", "--json", "there"], "--json there is a folder"),
    "overhead: 10^9 rounds": (["overhead", "--rounds", "1000000000"], "expected 100,000 at most"),
    "learning: 10^30 steps": (["learning", "--steps", str(10**30)], "expected 1,000,000,000,000 at most"),
    "learning: every 10^30": (["learning", "--every", str(10**30)], "expected 1,000,000,000,000 at most"),
    "learning: a seed below zero": (["learning", "--seed", "-1"], "--seed -1; expected 0 or more"),
    "bench: nowhere": (["bench", "--json", "none/a.json"], "--json none/a.json: there is no folder none"),
    "bench: a world without end": (["bench", "--world", "gymnasium:Reacher-v5", "--seconds", "inf"], "--seconds inf"),
    "bench: a world and a task": (["bench", "--world", "a:b", "--ppo-task", "push"], "is measured alone, as it"),
    "bench: a world and threads": (["bench", "--world", "a:b", "--threads", "1"], "is measured alone, as it"),
    "study: another's settings": (["study", "a.yaml", "--slurm.cpus", "2"], "--slurm.… is for --on slurm"),
    "study: settings of both": (
        ["study", "a.yaml", "--on", "slurm", "--ray.cpus", "2"], "--ray.… is for --on ray, and this is --on slurm"),
    "references: seeds of no curve": (["references", "RUN", "--seed", "3"], "--seed, --steps and --config are for"),
    "references: no seed": (["references", "--out", "a.csv", "--task", "reach", "--seed"], "--seed gives no seed"),
    "references: a seed twice": (
        ["references", "--out", "a.csv", "--task", "reach", "--seed", "1", "1"], "--seed 1 1 names one twice"),
    "references: others' worlds": (
        ["references", "--out", "a.csv", "--curriculum", "pusher2"], "'pusher2' has none of clrobot's own tasks"),
    "learning: no seed": (["learning", "--task", "reach", "--seed"], "--seed gives no seed; give one or more"),
    "evaluate: sampled and untold": (
        ["evaluate", "RUN", "--task-id", "none", "--stochastic"], "--stochastic samples actions where"),
    "publish: seconds of tries": (
        ["publish", "RUN", "--out", "a.csv", "--tuning", "--loaded"], "--loaded marks seconds, and"),
    "learning: a folder": (["learning", "--task", "reach", "--out", "there"], "--out there is a folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_verb_refuses_in_one_sentence_and_makes_nothing(
    case: str, cli: Cli, tiny_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    words, clause = REFUSED[case]
    done = cli(*(str(tiny_run) if word == "RUN" else word for word in words))
    assert done.code == 2, done
    assert done.err.startswith("clrobot: "), done
    assert done.err.count("\n") == 1
    assert clause in done.err
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_run_may_be_extended_from_within_its_folder(
    tiny_copy: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.` has no name of its own."""
    monkeypatch.chdir(tiny_copy)
    monkeypatch.setattr("clrobot.cli.train.resume_run", lambda path, *_: path)
    monkeypatch.setattr("clrobot.cli.train.summarise", lambda *_: None)
    assert cli("extend", ".", "--task", "push", "--steps", "64").code == 0
    assert (tiny_copy.parent / "tiny-push" / "config.yaml").is_file()
