"""Whether a training through other people's worlds, killed at twenty random moments, ends with the same bits.

    python .ci/killed_worlds.py [CURRICULUM] [KILLS] [METHOD]      # mixed4, 20, ewc

Each training is a process that is killed by SIGKILL; what was begun is resumed until it is finished. A run that is
finished before all kills were made is followed by another one.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from same_results import PPO, of_run

SMALL = """
    --network.widths 8 8 --evaluation.episodes 2 --evaluation.curve-points 1 --evaluation.curve-episodes 2
    --video.no-enabled --steps 512 --checkpoint.steps 128 --ewc.states 100
"""


def command(words: list[str]) -> None:
    """Run the command line in silence, without what would take most of a tiny training's time."""
    import clrobot.cli.train
    from clrobot.cli import main
    from clrobot.envs.worlds import examine
    from clrobot.training import after_stage

    def plain_page(run: Any, _: Any) -> Any:
        (run.path / "report.html").write_text("a report")
        return run

    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 -- as long as the process
    examine.STEPS = 1_000  # type: ignore[misc]
    after_stage.INFERENCE_STATES = after_stage.DORMANT_STATES = 100
    clrobot.cli.train.with_page = plain_page
    main(words)


def start(words: list[str]) -> multiprocessing.process.BaseProcess:
    """Start a process in which torch and MuJoCo are loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clrobot.training.training", "clrobot.cli.settings"])
    process = context.Process(target=command, args=(words,))
    process.start()
    return process


def finished(run: Path) -> bool:
    """Return whether nothing is left to resume: a run that was killed before its page was written has none."""
    from clrobot.runs.folder import RunFolder

    return (run / "config.yaml").exists() and RunFolder.open(run).finished


def main(curriculum: str = "mixed4", kills: str = "20", method: str = "ewc") -> int:
    """Kill and resume, and compare; return 1 where anything differs."""
    work, rng = Path(tempfile.mkdtemp(prefix="killed-worlds-")), random.Random(0)
    words = ["train", "--curriculum", curriculum, "--method", method, *SMALL.split(), *PPO.split(), "--out"]
    start(["methods"]).join()  # what all processes share is loaded once
    began = time.monotonic()
    process = start([*words, str(work / "whole")])
    process.join()
    assert process.exitcode == 0, process.exitcode
    seconds, expected = time.monotonic() - began, of_run(work / "whole")
    print(f"one run that was never killed: {seconds:.0f} s, {len(expected)} entries", flush=True)
    made, inside, runs, problems = 0, 0, 0, 0
    while made < int(kills):
        run = work / f"run-{runs}"
        runs += 1
        process = start([*words, str(run)])
        while True:
            process.join(rng.uniform(0.05, 0.35) * seconds if made < int(kills) else None)
            if process.exitcode is None:
                process.kill()
                process.join()
                assert process.exitcode == -signal.SIGKILL
                made += 1
                inside += (run / "resume").exists()
            else:
                assert process.exitcode == 0, process.exitcode
            if finished(run):
                break
            begun = (run / "config.yaml").exists()
            process = start(["resume", str(run)] if begun else [*words, str(run)])
        found = of_run(run)
        different = [name for name in expected if found.get(name) != expected[name]]
        problems += len(different) + len(found.keys() - expected.keys())
        told = f"run {runs}: {made} kills so far, {inside} of them within a stage"
        print(f"{told}; {len(different)} entries differ", flush=True)
        for name in different[:5]:
            print(f"  {name}: {expected[name]} → {found.get(name)}")
    shutil.rmtree(work)
    return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
