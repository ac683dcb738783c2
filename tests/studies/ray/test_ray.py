"""A study on a real Ray of two nodes, one of which is killed half-way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clusters import begun, one_after_another, plans, studying, wait_until, write_study
from support.outcomes import outcome

from clrobot.errors import UserError
from clrobot.studies.executors.by_name import make_executor
from clrobot.studies.executors.settings import RaySettings

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def ray_cluster() -> Iterator[Any]:
    """A head that works at nothing."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # 15 elsewhere: here everything shares two cores
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield found
        finally:
            found.shutdown()


def test_a_study_that_loses_a_node_ends_with_the_same_bits(ray_cluster: Any, tmp_path: Path) -> None:
    first, _ = ray_cluster.add_node(num_cpus=1), ray_cluster.add_node(num_cpus=1)
    file, out = write_study(tmp_path), tmp_path / "out"
    on = ("--on", "ray", "--ray.address", ray_cluster.address)
    with studying(file, out, *on, log=tmp_path / "log") as study:
        wait_until(lambda: len(begun(out)) == 2, study)
        ray_cluster.remove_node(first, allow_graceful=False)
        assert study.wait(300) == 0, (tmp_path / "log").read_text()
    text = (tmp_path / "log").read_text()
    assert "again" in text, text
    whole = one_after_another(file, tmp_path / "whole")
    assert len(whole) == 6
    assert {planned.folder.name for planned in plans(file, out)} == set(whole)
    for name, expected in whole.items():
        assert outcome(out / name) == expected, name


def test_a_study_that_is_stopped_takes_its_tasks_along(ray_cluster: Any, tmp_path: Path) -> None:
    ray_cluster.add_node(num_cpus=1)
    file, out = write_study(tmp_path), tmp_path / "out"
    with studying(file, out, "--on", "ray", "--ray.address", ray_cluster.address, log=tmp_path / "log") as study:
        wait_until(lambda: begun(out), study)
        study.send_signal(signal.SIGINT)
        assert study.wait(60) == 130, (tmp_path / "log").read_text()
    (name,) = begun(out)
    assert "clrobot: stopped in stage" in (out / f"{name}.log").read_text()


def test_where_there_is_no_cluster_it_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"--on ray: no cluster at '127.0.0.1:1' \(.*Connection refused\); give the"):
        make_executor("ray", ray=RaySettings(address="127.0.0.1:1"))
    assert capfd.readouterr() == ("", "")


def test_nothing_that_lies_in_the_current_folder_is_executed(tmp_path: Path) -> None:
    """Ray puts it first on its workers' path, where anybody's pydantic.py may lie."""
    for name in ("pydantic", "clrobot"):
        (tmp_path / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    code = (
        "import sys; from pathlib import Path; from clrobot.studies.executors.by_name import make_executor;"
        "from clrobot.studies.executors.executor import Job; here = Path(sys.argv[1]);"
        "job = Job(here / 'run', (sys.executable, '-P', '-c', ''), here / 'log', {});"
        "sys.exit(make_executor('ray').run(job, lambda: False))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert not (tmp_path / "ran").exists()
    assert done.returncode == 0, done.stderr


def test_paths_are_those_of_the_study_s_current_folder(ray_cluster: Any, tmp_path: Path) -> None:
    """A node's workers work where it was started."""
    ray_cluster.add_node(num_cpus=1)
    code = (
        "import sys; from pathlib import Path; from clrobot.studies.executors.by_name import make_executor;"
        "from clrobot.studies.executors.executor import Job;"
        "from clrobot.studies.executors.settings import RaySettings;"
        "words = (sys.executable, '-P', '-c', 'print(open(\"mine.yaml\").read())');"
        "job = Job(Path('runs/run'), words, Path('runs/log'), {});"
        "sys.exit(make_executor('ray', ray=RaySettings(address=sys.argv[1])).run(job, lambda: False))"
    )
    (tmp_path / "runs").mkdir()
    (tmp_path / "mine.yaml").write_text("what the study's folder holds")
    command = [sys.executable, "-P", "-c", code, ray_cluster.address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "log").read_text().strip() == "what the study's folder holds"
