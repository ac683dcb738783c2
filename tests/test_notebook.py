"""A task of the user's own, defined and registered in a notebook's cells."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLE = Path(__file__).parent / "support" / "plugin" / "clrobot_example" / "nudge.py"
REGISTER = """
clrobot.register_task(Nudge)
clrobot.register_curriculum(clrobot.Curriculum(name="mine", stages=[clrobot.Stage(task="nudge", steps=256)]))
"""
TRAIN = """
config = clrobot.make_config(
    curriculum="mine",
    method="finetune",
    network={"widths": [8]},
    ppo={"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1},
    evaluation={"episodes": 2, "curve_points": 1, "curve_episodes": 2},
    video={"enabled": False},
)
run = clrobot.train(config, "run")
import gymnasium
obs, _ = gymnasium.make("clrobot/Nudge-v0").reset(seed=0)
agent = clrobot.load(run)
print(agent.predict(obs, "nudge").shape, agent.evaluate("nudge", 3).returns.shape)
"""
REFUSED = """
class Unfair(Nudge):
    id = "unfair"
    weights = {"near": 1.0, "pushed": 1.0}

try:
    clrobot.register_task(Unfair)
except clrobot.UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_notebook_registers_a_task_trains_on_it_and_runs_its_cells_again(tmp_path: Path) -> None:
    task = EXAMPLE.read_text(encoding="utf-8")
    cells = [task, REGISTER, TRAIN, task, REGISTER, REFUSED]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]
    assert printed[2].splitlines()[-1] == "(4,) (3,)"
    assert printed[5] == "task unfair: its weights sum to 2; expected 1, so that rewards lie in [0, 1]\n"
    assert (tmp_path / "run" / "stage_01").is_dir()
