"""What a stranger's curriculum may ask of other people's worlds: they are made with plain values, and read no file.

A reader adds an attack by one line in REFUSED (a stage), or one in CUTS (a snapshot's place).
"""

from __future__ import annotations

import builtins
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml
from support import point
from support.foreign import POINT, settings, shortly
from support.forging import fields
from support.models import forge_manifest
from support.outcomes import Warned, stopped

from clrobot.envs.worlds import examine
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.curriculum import MAX_HORIZON
from clrobot.experiment.prepare import prepare
from clrobot.runs.snapshot import snapshots
from clrobot.training.resuming import open_training

Cli = Callable[..., Any]
REACHER = "gymnasium:Reacher-v5"


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels else 1


def kwargs(**given: Any) -> dict[str, Any]:
    return {"task": POINT, "kwargs": given}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a file": ({"task": REACHER, "kwargs": {"xml_file": "/etc/passwd"}}, "could name a file"),
    "a file above": ({"task": REACHER, "kwargs": {"xml_file": "../../../etc/passwd"}}, "could name a file"),
    "a hidden file": (kwargs(tells=".ssh"), "could name a file"),
    "a home": (kwargs(tells="~root"), "could name a file"),
    "a file of another system": (kwargs(tells="C:\\secret"), "could name a file"),
    "a file within": (kwargs(more={"a": [1, ["b", {"c": "d/e"}]]}), "could name a file"),
    "a file as a name": (kwargs(more={"/etc/passwd": 1}), "could name a file"),
    "an address": (kwargs(tells="file:///etc/passwd"), "could name a file"),
    "a terminal's command": (kwargs(tells="\x1b[2J"), "expected printable text"),
    "a long text": (kwargs(tells="x" * 1001), "expected printable text of at most 1,000 characters"),
    "a size": (kwargs(size=10**9), "expected a whole number within ±1,000,000"),
    "a size of 400 digits": (kwargs(size=10**400), "expected a whole number within ±1,000,000"),
    "a number": (kwargs(size=-1e300), "within ±1e+12"),
    "no number": (kwargs(size=float("nan")), "within ±1e+12"),
    "many values": (kwargs(more=[0] * 1001), "more than 1,000 values"),
    "many levels": (kwargs(more=nested(9)), "more than 8 levels"),
    "a hundred levels": (kwargs(more=nested(100)), "more than 8 levels"),
    "a module": ({"task": "gymnasium:antigravity:Point-v0"}, "unknown world"),
    "a module of the folder": ({"task": "gymnasium:./evil:Point-v0"}, "unknown world"),
    "a bridge, which imports": (
        {"task": "gymnasium:GymV26Environment-v0", "kwargs": {"env_id": "antigravity:Point-v0"}},
        "is a bridge to the old Gym; register the environment itself",
    ),
    "a length": (kwargs(max_episode_steps=10**18), "give horizon"),
    "a horizon": ({"task": POINT, "horizon": MAX_HORIZON + 1}, "less than or equal to 100000"),
    "a horizon of 400 digits": ({"task": POINT, "horizon": 10**400}, "less than or equal to 100000"),
    "a key": ({"task": POINT, "success": {"key": "x" * 201}}, "at most 200 characters"),
    "a return": ({"task": POINT, "success": {"return_above": 1e300}}, f"less than or equal to {10**30}"),
    "rewards": ({"task": POINT, "reward_scale": 1e300}, f"less than or equal to {10**30}"),
    "offsets": ({"task": POINT, "measured": {"offset": [1e300], "scale": [1], "actions": 1}}, "1e+30"),
    "scales": ({"task": POINT, "measured": {"offset": [0], "scale": [1e-300], "actions": 1}}, "1e-30"),
    "observations": (
        {"task": POINT, "measured": {"offset": [0] * 4097, "scale": [1], "actions": 1}},
        "at most 4096 items",
    ),
    "actions": ({"task": POINT, "measured": {"offset": [0], "scale": [1], "actions": 10**9}}, "4096"),
}


@pytest.fixture(autouse=True)
def registered(own_registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    point.register()
    monkeypatch.setattr(examine, "STEPS", 100)


@pytest.fixture
def no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gymnasium, "make", lambda *_, **__: pytest.fail("it was made"))


@pytest.mark.parametrize("attack", REFUSED)
def test_a_stranger_s_stage_is_refused_before_anything_is_made(
    attack: str, tiny_copy: Path, cli: Cli, no_world: None
) -> None:
    stage, clause = REFUSED[attack]
    with pytest.raises(UserError) as caught:
        make_config(curriculum={"name": "c", "stages": [{"steps": 64} | stage]})
    assert clause in str(caught.value)
    assert "\n" not in str(caught.value)
    settings = yaml.safe_load((tiny_copy / "config.yaml").read_text())
    settings["curriculum"]["stages"][0] = {"steps": 64} | stage
    (tiny_copy / "config.yaml").write_text(yaml.safe_dump(settings))
    for words in (["evaluate", tiny_copy], ["resume", tiny_copy], ["report", tiny_copy]):
        done = cli(*words)
        assert (done.code, done.err.count("\n")) == (2, 1), done
        assert len(done.err) < 700
    assert "antigravity" not in sys.modules


def test_a_name_of_the_current_folder_is_read_by_no_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_world: None
) -> None:
    """Such as of the run that is opened, where it is opened from within."""
    config = make_config(curriculum={"name": "c", "stages": [{"steps": 64} | kwargs(more=[{"a": "robot.xml"}])]})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot.xml").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match=r"is given 'robot.xml', and a file or folder here has that name"):
        prepare(config)


def test_a_world_that_reads_a_file_is_registered_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that the sentence names."""
    file = tmp_path / "robot.txt"
    file.write_text("tells")
    opened: list[object] = []
    usual = builtins.open
    monkeypatch.setattr(builtins, "open", lambda path, *a, **k: opened.append(path) or usual(path, *a, **k))

    def with_file(file: Path) -> point.Point:
        with open(file) as read:
            return point.Point(tells=read.read())

    gymnasium.register("Filed-v0", entry_point=with_file, max_episode_steps=9, kwargs={"file": file})
    ready = prepare(make_config(curriculum={"name": "c", "stages": [{"task": "gymnasium:Filed-v0", "steps": 64}]}))
    assert ready.curriculum.stages[0].measured is not None
    assert file in opened


@pytest.mark.parametrize("size", [1e31, 1e300])
def test_a_world_of_huge_numbers_is_one_sentence(size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    class Huge(point.Flat):
        def _seen(self) -> Any:
            return size * self.place

    gymnasium.register("Huge-v0", entry_point=Huge, max_episode_steps=9)
    with pytest.raises(UserError, match="shows numbers that no network can take"):
        prepare(make_config(curriculum={"name": "c", "stages": [{"task": "gymnasium:Huge-v0", "steps": 64}]}))


CUTS = {"one less": -1, "one more": 1, "10^15": 10**15}


def _tiny() -> dict[str, Any]:
    return {name: value for name, value in settings().items() if name != "method"}


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a snapshot at its first stage's start, and one at its first cut."""
    with shortly():
        run = stopped(tmp_path_factory.mktemp("stopped") / "run", "ewc", boundary=5, **_tiny())
    del gymnasium.registry["Point-v0"]
    return run


@pytest.mark.parametrize("attack", CUTS)
@pytest.mark.usefixtures("quick_training")
def test_a_forged_cut_is_damage(attack: str, stopped_run: Path, tmp_path: Path) -> None:
    """Else a resumed run would begin its worlds anew from another seed, and end with other bits."""
    run = Path(shutil.copytree(stopped_run, tmp_path / "run"))
    newest = snapshots(run / "resume")[0]
    fields("progress.json", cut=1 + CUTS[attack])(newest)
    forge_manifest(newest)
    observer = Warned()
    with shortly():
        open_training(run, observer)._let_go()
    (warning,) = observer.warnings
    assert f"{newest} is damaged (cut" in warning
    assert "expected 1)" in warning
