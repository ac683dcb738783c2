"""Whether two versions of the code give the same bits: `record` tiny runs of every method, then `compare`.

    python .ci/same_results.py record before.json              # in a checkout of the old code
    python .ci/same_results.py record after.json               # in the new one
    python .ci/same_results.py compare before.json after.json [names.json]

A record holds the hash of every tensor of every checkpoint, every score, every number of metrics.json, every point of
TensorBoard's curves (but what measures time), what the experts do in every task, and the pixels of a picture. It is
made through the command line alone, so that nothing depends on where a function lives. `names.json` maps what was
renamed: {"old regular expression": "new name"}. Its key "added" holds regular expressions of what is new on purpose,
each of a whole name, such as {"added": ["tensorboard/rollout/ep_.*"]}: an entry of that name, or a record, may be
missing in the old code; in both it is compared as any other. Bits differ between machines: record both on one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

METHODS = (  # noqa: SIM905
    "finetune ewc online-ewc l2 si mas progressive packnet progress-compress distillation replay generative-replay "
    "a-gem multitask scratch ewc+replay si+distillation ewc+generative-replay"
).split()

SMALL = """
    --network.widths 8 8 --evaluation.episodes 3 --evaluation.curve-points 2 --evaluation.curve-episodes 2
    --video.no-enabled --steps 256
"""
PPO = "--ppo.num-envs 4 --ppo.n-steps 16 --ppo.batch-size 32 --ppo.n-epochs 2"
SAC = """
    --algo sac --sac.num-envs 4 --sac.train-freq 4 --sac.gradient-steps 4 --sac.batch-size 32 --sac.learning-starts 64
"""
FEW = {
    "states": "100",
    "memory": "200",
    "iterations": "20",
    "compress-states": "200",
    "compress-steps": "20",
}
HAS = {
    "ewc": ("states",),
    "online-ewc": ("states",),
    "mas": ("states",),
    "progress-compress": ("states", "compress-states", "compress-steps"),
    "distillation": ("states",),
    "replay": ("memory",),
    "generative-replay": ("states", "iterations"),
    "a-gem": ("states",),
}
OTHERS = {
    "plasticity": "--method ewc --plasticity.shrink 0.8 --plasticity.perturb 0.1 --plasticity.l2-init 0.01",
    "redo": "--method finetune --plasticity.redo-every 4 --plasticity.redo-threshold 0.5",
    "moments": "--method distillation --distillation.states 100 --plasticity.no-reset-optimizer",
    "layer-norm": "--method packnet --network.layer-norm",
    "narrow": "--method progressive --progressive.later-width 0.5",
    "falling-rate": "--method finetune --ppo.final-learning-rate 1e-4",
    "worlds": "--method ewc --ewc.states 100 --curriculum shift5",
    "ten": "--method finetune --curriculum cr10",
}
KILLED = ("ewc", "si", "packnet", "progress-compress", "replay", "generative-replay", "multitask")


def words_of(method: str, algorithm: str) -> list[str]:
    """Return the words of a tiny training."""
    words = ["train", "--method", method, *SMALL.split(), *(PPO if algorithm == "ppo" else SAC).split()]
    for part in method.split("+"):
        for name in HAS.get(part, ()):
            words += [f"--{part}.{name}", FEW[name]]
    return words


def cases() -> dict[str, list[str]]:
    """Return the trainings that run from start to end, by name."""
    found = {f"{a}-{m}": words_of(m, a) for a in ("ppo", "sac") for m in METHODS}
    return found | {name: ["train", *SMALL.split(), *PPO.split(), *words.split()] for name, words in OTHERS.items()}


# A process that takes command lines, one a line, and answers each with its exit code.
SERVER = """
import io, sys, contextlib, traceback
from clrobot.cli import main
for line in sys.stdin:
    words = line.rstrip("\\n").split("\\t")
    code, out = 0, io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main(words)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        code = 1
        traceback.print_exc(file=out)
    if code:
        print("FAILED", words, out.getvalue()[-2000:], file=sys.stderr)
    print(code, flush=True)
"""


def environment() -> dict[str, str]:
    """Return the environment of every process: this checkout's code, one thread."""
    return dict(os.environ) | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "CLROBOT_RENDER": "raycast",
    }


def serve(commands: list[list[str]]) -> list[int]:
    """Run command lines, one after another, in one process; return their exit codes."""
    done = subprocess.run(
        [sys.executable, "-c", SERVER],
        input="".join("\t".join(words) + "\n" for words in commands),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    return [int(line) for line in done.stdout.split()]


def kill_and_resume(words: list[str], folder: Path, stage: int) -> None:
    """SIGKILL the training once it has saved itself within a stage, and resume it."""
    command = [sys.executable, "-m", "clrobot", *words, "--checkpoint.seconds", "0", "--out", str(folder)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment()
    )
    while process.poll() is None:
        for progress in folder.glob("resume/step_*/progress.json"):
            try:
                content = json.loads(progress.read_text())
            except (OSError, ValueError):
                continue
            if content["stage"] == stage and content["step"] > content["stage_start"] + 64:
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
        time.sleep(0.005)
    assert process.returncode == -signal.SIGKILL, (words, process.returncode)
    done = subprocess.run(
        [sys.executable, "-m", "clrobot", "resume", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


def digest(array: Any) -> str:
    """Return an array's type, shape and hash."""
    import numpy as np

    array = np.ascontiguousarray(array)
    return f"{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()[:24]}"


def of_run(run: Path) -> dict[str, Any]:
    """Everything of a run that must not depend on the code's shape, flat."""
    from safetensors.torch import load_file
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: dict[str, Any] = {}
    for path in sorted(run.glob("stage_*/*.safetensors")):
        for name, tensor in load_file(path).items():
            found[f"{path.parent.name}/{path.stem}/{name}"] = digest(tensor.numpy())
    for i, line in enumerate((run / "scores.jsonl").read_text().splitlines()):
        found[f"scores/{i}"] = json.loads(line)
    metrics = json.loads((run / "metrics.json").read_text())
    for name, value in flat(metrics, "metrics."):
        if "seconds" not in name:
            found[name] = value
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        if not tag.startswith("time/"):
            found[f"tensorboard/{tag}"] = [[event.step, repr(event.value)] for event in events.Scalars(tag)]
    return found


def flat(value: Any, prefix: str = "") -> Any:
    """Yield the leaves of nested JSON by dotted name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}{key}.")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from flat(inner, f"{prefix}{i}.")
    else:
        yield prefix.removesuffix("."), value


# What the environments do, through Gymnasium alone.
WORLDS = """
import hashlib, json, sys
import gymnasium, numpy as np
import clrobot
def digest(a):
    a = np.ascontiguousarray(a); return f"{a.dtype} {a.shape} {hashlib.sha256(a.tobytes()).hexdigest()[:24]}"
found = {}
worlds = [{}, {"action.delay": 2}, {"sensor.noise": 0.05}, {"object.size": 1.2},
          {"joint.damping": 2.0, "joint.friction": 2.0}, {"object.mass": 0.3, "object.friction": 0.5}]
for name in sorted(n for n in gymnasium.registry if n.startswith("clrobot/")):
    for world in worlds:
        try:
            env = gymnasium.make_vec(name, num_envs=3, overrides=world)
        except ValueError as error:
            found[f"{name} {world}"] = str(error); continue
        rng = np.random.default_rng(0)
        obs, _ = env.reset(seed=3)
        seen = [obs]
        for t in range(130):
            obs, reward, terminated, truncated, info = env.step(rng.uniform(-1, 1, (3, 4)))
            seen += [obs.copy(), reward, terminated, truncated]
            if "final_obs" in info: seen += [np.stack(info["final_obs"]), info["final_info"]["is_success"]]
        found[f"{name} {world}"] = digest(np.concatenate([np.asarray(s, float).ravel() for s in seen]))
    env = gymnasium.make(name, render_mode="rgb_array", width=64, height=64)
    env.reset(seed=1); env.step(np.array([.5, .2, -.3, 1.0], np.float32))
    found[f"{name} picture"] = digest(env.render())
print(json.dumps(found))
"""


def record(out: Path) -> None:
    """Make every run in a folder of its own, and write what came of it."""
    work = Path(tempfile.mkdtemp(prefix="same-results-"))
    found: dict[str, Any] = {}
    try:
        told = subprocess.run(
            [sys.executable, "-c", WORLDS], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(), check=True
        )
        found["worlds"] = json.loads(told.stdout)
        commands = {name: [*words, "--out", str(work / name)] for name, words in cases().items()}
        commands["filmed"] = [
            *["train", "--method", "ewc", "--ewc.states", "100"],
            *SMALL.split(),
            *PPO.split(),
            "--video.enabled",
            "--steps",
            "128",
            "--out",
            str(work / "filmed"),
        ]
        commands["sheet"] = ["sheet", "--size", "48", "--out", str(work / "sheet.png")]
        halves = [list(commands.values())[i::2] for i in range(2)]
        killed = {
            f"killed-{a}-{m}": words_of(m, a)
            for a in ("ppo", "sac")
            for m in KILLED
            if a == "ppo" or m in ("ewc", "replay", "progress-compress")
        }
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(serve, halves))
            list(pool.map(lambda item: kill_and_resume(item[1], work / item[0], 2), killed.items()))
            extended = [
                ["extend", str(work / "ppo-ewc"), "--task", "push", "--steps", "256", "--out", str(work / "extended")]
            ]
            serve(extended)
        for folder in sorted(path.parent for path in work.glob("*/metrics.json")):
            found[folder.name] = of_run(folder)
        found["experts"] = {"sheet": hashlib.sha256((work / "sheet.png").read_bytes()).hexdigest()}
        missing = sorted({*commands, *killed, "extended"} - found.keys() - {"sheet"})
        found["refused"] = missing
        for name in killed:
            whole = found[name.removeprefix("killed-")]
            assert found[name] == whole, (name, [k for k in whole if whole[k] != found[name].get(k)][:5])
    finally:
        shutil.rmtree(work)
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(found)} records, {sum(len(v) for v in found.values())} entries; refused: {', '.join(missing)}")


def compare(before: Path, after: Path, names: Path | None) -> int:
    """Print what differs; return 1 where anything does."""
    old, new = (json.loads(path.read_text()) for path in (before, after))
    content: dict[str, Any] = {} if names is None else json.loads(names.read_text())
    added = [re.compile(pattern) for pattern in content.pop("added", [])]
    table = [(re.compile(pattern), replacement) for pattern, replacement in content.items()]
    unused = {pattern.pattern for pattern in added}

    def is_added(name: str) -> bool:
        matching = {pattern.pattern for pattern in added if pattern.fullmatch(name)}
        unused.difference_update(matching)
        return bool(matching)

    def renamed(name: str) -> str:
        for pattern, replacement in table:
            name = pattern.sub(replacement, name)
        return name

    problems = [f"{r}: not there" for r in old.keys() - new.keys()]
    additions = [r for r in new.keys() - old.keys() if is_added(r)]
    problems += [f"{r}: new" for r in new.keys() - old.keys() - {*additions}]
    entries = 0
    if "refused" in old:  # what the old code does not know
        old["refused"] = [r for r in old["refused"] if not is_added(r)]
    for name in old.keys() & new.keys():
        if not isinstance(old[name], dict):
            problems += [] if old[name] == new[name] else [f"{name}: {old[name]} → {new[name]}"]
            continue
        a = {renamed(key): value for key, value in old[name].items()}
        a.pop("", None)  # renamed to nothing: taken out on purpose
        b = new[name]
        entries += len(a)
        problems += [f"{name} {key}: not there" for key in a.keys() - b.keys()]
        own = [key for key in b.keys() - a.keys() if is_added(key)]
        additions += own
        problems += [f"{name} {key}: new" for key in b.keys() - a.keys() - {*own}]
        problems += [f"{name} {key}: {a[key]} → {b[key]}" for key in a.keys() & b.keys() if not same(a[key], b[key])]
    for problem in sorted(problems)[:60]:
        print(problem)
    for pattern in sorted(unused):
        print(f'"added" {pattern}: nothing new has such a name; take it out')
    print(f"{entries} entries compared, {len(problems)} differ, {len(additions)} were added on purpose")
    return int(bool(problems))


def same(a: Any, b: Any) -> bool:
    """Return whether two entries are equal; nan equals nan."""
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        record(Path(sys.argv[2]).resolve())
    elif sys.argv[1:2] == ["compare"]:
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None))
    else:
        sys.exit(__doc__)
