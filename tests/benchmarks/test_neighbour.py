"""What another interpreter answers, and what is said of one that does not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from clrobot.benchmarks.neighbour import Neighbour
from clrobot.errors import UserError

ECHO = """
import json, sys
print("a library says hello")
print([1])
for line in sys.stdin:
    request = json.loads(line)
    if request.get("leave"):
        raise SystemExit(request["leave"])
    print(json.dumps(request), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(ECHO)
    return path


def neighbour(script: Path, python: str = sys.executable) -> Neighbour:
    return Neighbour("--other", Path(python), script, "give another one")


def test_each_request_is_answered_in_turn(script: Path) -> None:
    with neighbour(script) as other:
        assert other.ask(first=1, words="ä") == {"first": 1, "words": "ä"}
        assert other.ask(second=[2.5, None]) == {"second": [2.5, None]}
        process = other._process
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"leave": "no more of this"}, "no more of this"),
        ({"leave": 7}, "exit code 7"),
    ],
)
def test_an_error_is_one_sentence(request_: dict[str, object], reason: str, script: Path) -> None:
    with (
        neighbour(script) as other,
        pytest.raises(UserError, match=f"^--other {re.escape(sys.executable)}: {reason}; give another one$"),
    ):
        other.ask(**request_)


def test_a_script_that_cannot_begin_is_one_sentence(script: Path) -> None:
    script.write_text("import nothing_of_this_name\n")
    with neighbour(script) as other, pytest.raises(UserError, match="No module named 'nothing_of_this_name'"):
        other.ask()


def test_what_is_no_python_is_one_sentence(script: Path) -> None:
    with pytest.raises(UserError, match="--other nowhere: No such file or directory; give another one"):
        neighbour(script, "nowhere").__enter__()
    with neighbour(script, "false") as other, pytest.raises(UserError, match="--other false: exit code 1; give"):
        other.ask()


def test_it_ends_with_the_process_that_asked(script: Path) -> None:
    code = f"""
import os
from pathlib import Path
from clrobot.benchmarks.neighbour import Neighbour
other = Neighbour("", Path({sys.executable!r}), Path({str(script)!r}), "").__enter__()
other.ask()
print(other._process.pid, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    pid = int(done.stdout)
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(") ")[2].startswith("Z"):
            return
        subprocess.run(["sleep", "0.1"], check=True)
    pytest.fail("it lives on")
