"""Films of other people's worlds: with the same captions, at their own pace, and none where nothing draws."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support import point
from support.trainings import EPISODE

from clrobot.envs.worlds import examine
from clrobot.envs.worlds.gymnasium_kind import GymnasiumKind
from clrobot.envs.worlds.spec import Measured, WorldSpec
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config
from clrobot.experiment.curriculum import Stage
from clrobot.films import record
from clrobot.runs.checkpoint import load_agent
from clrobot.runs.folder import RunFolder

Cli = Callable[..., Any]
POINT = "gymnasium:Point-v0"


@pytest.fixture
def words(own_registries: None, quick_training: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A training of the point and a native task, with films, whose environment has a fault."""
    point.register()
    monkeypatch.setattr(examine, "STEPS", 200)

    def command(fault: str = "", tells: str | None = "is_success") -> list[str]:
        stages = [
            {"task": POINT, "steps": 64, "kwargs": {"fault": fault, "tells": tells}},
            {"task": "reach", "steps": 64},
        ]
        config = make_config(
            curriculum={"name": "mixed", "pad": True, "stages": stages},
            method="finetune",
            network={"widths": (8,)},
            ppo={"num_envs": 4, "n_steps": 16, "batch_size": 32, "n_epochs": 1},
            evaluation={"episodes": 2, "curve_points": 0, "curve_episodes": 2},
            checkpoint={"steps": 64},
        )
        (tmp_path / "config.yaml").write_text(dump_config(config))
        return ["train", "--config", "config.yaml", "--out", "run"]

    return command


def pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_film_and_a_grid_of_both_kinds_of_world(words: Any, cli: Cli, tmp_path: Path) -> None:
    done = cli(*words())
    assert (done.code, done.err) == (0, ""), done
    films = sorted((tmp_path / "run" / "videos").rglob("*.mp4"))
    assert [film.name for film in films] == ["Point-v0.mp4", "Point-v0.mp4", "reach.mp4"]
    seen = pictures(films[0])
    assert len(seen) == point.HORIZON, "ten steps a second: each is a picture, the last one is the next start's"
    assert seen[0].shape == (572, 480, 3)
    # The environment's white bar grows from step to step; above and below it is black.
    assert [round(frame[240, :, 0].mean()) for frame in seen] == sorted(round(f[240, :, 0].mean()) for f in seen)
    assert seen[-1][240, 10].min() > 200
    assert seen[-1][20].max() < 40
    assert cli("record", "run", "--grid", "--out", "grid.mp4").code == 0
    # Both play in their own time, at 12.5 pictures a second: of the native task every other step, of the other
    # each of its twelve, which are ten a second.
    longest = max(15, -(-EPISODE // 2))
    assert len(pictures(tmp_path / "grid.mp4")) == longest + 10, "and the hold at the end"


@pytest.mark.parametrize(
    ("own", "shown"), [(12.5, [0, 1, 2, 3, 4]), (10.0, [0, 0, 1, 2, 3, 4, 4]), (25.0, [0, 2, 4])]
)
def test_pictures_of_another_pace_keep_their_time(own: float, shown: list[int]) -> None:
    frames: list[Any] = list(record._at_rate(iter(range(5)), own, 12.5))  # type: ignore[arg-type]
    assert frames == shown


def test_a_film_of_other_pictures_a_second_plays_in_its_own_time(words: Any, cli: Cli, tmp_path: Path) -> None:
    assert cli(*words()).code == 0
    assert cli("record", "run", "--grid", "--task", "Point-v0", "--out", "one.mp4").code == 0
    with av.open(str(tmp_path / "one.mp4")) as film:
        assert film.streams.video[0].average_rate == 10


def test_a_success_that_is_told_at_an_episode_s_end_is_on_its_last_picture(
    words: Any, monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path
) -> None:
    assert cli(*words(), "--video.no-enabled").code == 0
    agent = load_agent(RunFolder.open(tmp_path / "run"))
    stage = agent.curriculum.stages[0]
    for above, solved in ((-1e6, True), (1e6, False)):
        judged = Stage(**dict(stage) | {"success": {"return_above": above}})
        asked = replace(agent, curriculum=agent.curriculum.with_stages((judged, agent.curriculum.stages[1])))
        rollout = record.roll_out(asked, 0, 2, size=32)
        rollout.world.close()
        assert [episode.solved.tolist() for episode in rollout.episodes] == [
            [False] * (len(episode.solved) - 1) + [solved] for episode in rollout.episodes
        ]


def test_a_film_of_an_endless_episode_is_cut(
    words: Any, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its pictures is kept until the film is written."""
    monkeypatch.setattr(record, "MOST", 5)
    done = cli(*words())
    assert (done.code, done.err) == (0, ""), done
    assert len(pictures(tmp_path / "run" / "videos" / "stage_01" / "Point-v0.mp4")) == 5


@pytest.mark.parametrize(("fault", "reason"), [("no screen", "there is no screen"), ("no picture", "no render mode")])
def test_a_world_that_cannot_draw_gives_a_run_without_its_films(
    fault: str, reason: str, words: Any, cli: Cli, tmp_path: Path
) -> None:
    done = cli(*words(fault))
    assert done.code == 0
    flat = " ".join(done.out.split())
    assert flat.count("warning: Point-v0 is not filmed: ") == 1
    assert reason in flat
    assert "failed recordings" not in flat
    assert [film.name for film in (tmp_path / "run" / "videos").rglob("*.mp4")] == ["reach.mp4"]
    alone = cli("record", "run", "--task", "Point-v0")
    assert alone.code == 2
    assert alone.err.startswith("clrobot: Point-v0 cannot be filmed here: ")
    assert alone.err.count("; ") == 1, "what to do"
    assert cli("record", "run").code == 0


def test_where_nothing_tells_success_every_verb_shows_the_return(words: Any, cli: Cli, tmp_path: Path) -> None:
    done = cli(*words(tells=None))
    assert done.code == 0, done
    flat = " ".join(done.out.split())
    assert flat.count("nothing tells success in Point-v0: its return is measured in its place") == 1
    assert "Point-v0 return −" in flat
    assert cli("report", "run").code == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Nothing in the worlds of Point-v0 tells success: the mean return stands in its place." in page
    assert page.count('<span class="interval">return</span>−') >= 3
    table = cli("evaluate", "run", "--episodes", "2")
    assert table.code == 0
    (row,) = [line for line in table.out.splitlines() if "Point-v0" in line]
    assert row.count("–") >= 2
    assert "−" in row
    found = json.loads(cli("evaluate", "run", "--format", "json").out)
    assert found[0]["length_mean"] is None
    assert 'data-score="return −' in page
    assert "success –" not in page
    for verb in (
        ["record", "run"],
        ["record", "run", "--grid", "--out", "grid.gif"],
        ["compare", "run"],
        ["plot", "run"],
    ):
        again = cli(*verb)
        assert again.code == 0, again
    told = cli("record", "run", "--task", "Point-v0", "--out", "films").out
    assert "return −" in told
    assert np.isfinite(float(told.split("return −")[1]))


def test_gymnasium_draws_its_own_arms() -> None:
    """What it needs for that, `imageio`, is a dependency; without OpenGL there is a reason and no picture."""
    measured = Measured((0.0,) * 10, (1.0,) * 10, 2, None)
    asked = WorldSpec("gymnasium:Reacher-v5", measured=measured)
    reason = GymnasiumKind().why_not_drawn(asked)
    if reason is not None:
        assert re.search("OpenGL|EGL|GL|display|GLFW", reason), reason
        return
    world = GymnasiumKind().make(asked, 1, draw=64)
    world.reset(seed=0)
    assert world.look().std() > 0
    world.close()
