"""What only reads runs, or refuses, waits for no torch: that is a second, twice as long as all the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from clrobot.agents.methods import METHODS_BY_NAME

SCRIPT = """
import contextlib, io, json, sys
from clrobot.cli import main
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(words)
            code = 0
        except SystemExit as stop:
            code = stop.code
    print(words[0], code, [name for name in ("torch", "stable_baselines3") if name in sys.modules])
"""


def test_neither_what_reads_a_run_nor_a_refusal_loads_torch(tiny_run: Path, tmp_path: Path) -> None:
    read = [["compare"], ["report", "--out", "page.html"], ["plot", "--out", "figures"]]
    refused = [
        *([verb, "nowhere"] for verb in ("evaluate", "record", "export", "verify", "resume", "references")),
        ["record", "nowhere", "--grid"],
        ["extend", "nowhere", "--task", "reach", "--steps", "64"],
        ["train", "--out", str(tiny_run)],
    ]
    words = [*([verb, str(tiny_run), *more] for verb, *more in read), *refused]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = [f"{verb} 0 []" for verb, *_ in read] + [f"{verb} 2 []" for verb, *_ in refused]
    assert done.stdout.splitlines() == expected, done.stderr


def test_a_run_of_any_method_is_read_so(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["stable_baselines3"] = None  # what imports one of them fails
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.method import make_method
for method in (*METHODS_BY_NAME, "ewc+replay"):
    for more in ({}, {"plasticity": {"redo_every": 10}}, {"warm_start": {"choose": "newest", "kickstart": 1.0}}):
        try:
            config = make_config(method=method, curriculum="cr4", **more)
        except UserError as refused:  # such as a start that a method cannot have
            assert more, (method, refused)
            continue
        slots = make_method(config).trained_slots(1, 4)
        print(method, *slots, *more)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert {line.split()[0] for line in told} == {*METHODS_BY_NAME, "ewc+replay"}
    assert "finetune 1" in told
    assert "multitask 0 1 2 3" in told
    assert {"ewc 1", "ewc 1 plasticity", "ewc 1 warm_start"} <= {*told}
