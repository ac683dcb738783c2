"""Settings that read what they should not, or never end: a reader's further one is one more line in a table here."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from clrobot.errors import UserError
from clrobot.experiment.config_file import read_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.yaml_file import load_curriculum, parse_yaml
from clrobot.runs.folder import RunFolder

Cli = Callable[..., Any]

STAGES = "stages:\n  - {task: reach, steps: 64}\n"


def merges(levels: int) -> str:
    """YAML of some 600 bytes, whose merge keys PyYAML copies 4 to the power of `levels` times."""
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 4)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


def laughs(levels: int) -> str:
    return "\n".join(["a0: &a0 lol", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels))])


# What is not read, and the line and reason that the sentence names.
BOMBS = {
    "merge keys": (merges(15), r", line 2: a merge key `<<`; write the settings out"),
    "one merge key": ("a: &a {x: 1}\nb: {<<: *a}", r", line 2: a merge key"),
    "a merge key by its tag": ("a: {!!merge x: {y: 1}}", r", line 1: a merge key"),
    "a billion laughs": (laughs(12), r", line \d: more than 20,000 values"),
    "an alias in what it stands for": ("a: &a [1, *a]", r", line 1: \*a stands inside what it stands for"),
    "no such alias": ("a: *b", r", line 1: .*"),
    "more values than any file": ("a: [" + "1," * 30_000 + "]", r", line 1: more than 20,000 values"),
    "more keys than any file": (
        "\n".join(f"k{i}: 1" for i in range(30_000)),
        r", line 10000: more than 20,000 values",
    ),
    "deep brackets": ("a: " + "[" * 100_000, r", line 1: more than 20 levels"),
    "deep mappings": ("a: " + "{a: " * 100_000, r", line 1: more than 20 levels"),
    "deep dashes": ("- " * 100_000, r", line 1: more than 20 levels"),
    "a deep complex key": ("? " * 100_000, r", line 1: more than 20 levels"),
    "a huge number": ("a: " + "9" * 5000, r".*expected YAML"),
    "a huge sexagesimal": ("a: " + "1:" * 100_000 + "1", r", line 1: a value of more than 10,000 characters"),
    "python": ("!!python/object/apply:os.system ['touch imported']", r", line 1: .*expected YAML"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_before_anything_is_built(bomb: str) -> None:
    text, sentence = BOMBS[bomb]
    began = time.process_time()
    with pytest.raises(UserError, match=f"^it{sentence}"):
        parse_yaml(text, "it")
    assert time.process_time() - began < 5.0
    assert not Path("imported").exists()


def test_quoted_and_anchored_is_read_as_ever() -> None:
    text = 'a: &a {x: 1}\nb: *a\n"<<": [1]\nc: "<<"\n'
    assert parse_yaml(text, "it")[1] == yaml.safe_load(text)
    many = "\n".join(["name: long", "stages:", *["  - {task: reach, steps: 64}"] * 1024])
    assert len(parse_yaml(many, "it")[1]["stages"]) == 1024


# Files that are none, or are somebody else's ----------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "large.yaml").write_text("# " + "x" * 2**20 + "\nname: a\n" + STAGES)
    with (tmp_path / "sparse.yaml").open("wb") as file:
        file.truncate(20 * 2**30)
    (tmp_path / "link.yaml").symlink_to("/dev/zero")
    found = {name: str(tmp_path / f"{name}.yaml") for name in ("fifo", "large", "sparse", "link")}
    return found | {"zero": "/dev/zero", "folder": str(tmp_path)}


WRONG = {
    "fifo": "not a plain file",
    "large": "larger than 1,048,576 bytes",
    "sparse": "larger than 1,048,576 bytes",
    "link": "not a plain file",
    "zero": "not a plain file",
    "folder": "Is a directory",
}


@pytest.mark.parametrize("read", [load_curriculum, lambda name: read_config(Path(name))])
@pytest.mark.parametrize("place", WRONG)
def test_what_is_no_plain_file_of_a_size_is_not_read(
    place: str, read: Callable[[str], object], places: dict[str, str]
) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=WRONG[place] + "; give a readable YAML file"):
        read(places[place])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**17  # KiB


# A run's own settings, which somebody else may have written: what stands there in place of its curriculum.
ELSEWHERE = ["/etc/passwd", "/dev/zero", "FOLDER/fifo.yaml", "FOLDER/mine.yaml", "mine.yaml", "../mine.yaml", "quick"]


@pytest.mark.parametrize("verb", ["evaluate", "resume", "report", "compare", "record", "export", "references"])
def test_a_run_s_settings_lead_to_no_other_file(verb: str, tiny_copy: Path, cli: Cli, tmp_path: Path) -> None:
    settings = yaml.safe_load((tiny_copy / "config.yaml").read_text())
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CURRICULA["quick"].model_dump(mode="json")))
    for there in [*ELSEWHERE, None, 3, ["quick"]]:
        value = there.replace("FOLDER", str(tmp_path)) if isinstance(there, str) else there
        (tiny_copy / "config.yaml").write_text(yaml.safe_dump(settings | {"curriculum": value}))
        (tiny_copy / "manifest.json").unlink(missing_ok=True)
        done = cli(verb, tiny_copy)
        assert done.code == 2, (there, done)
        assert "`curriculum` is " in done.err
        assert "a run holds its curriculum itself" in done.err
    del settings["curriculum"]
    (tiny_copy / "config.yaml").write_text(yaml.safe_dump(settings))
    assert "a run holds its curriculum itself" in cli(verb, tiny_copy).err


LARGE = {"metrics.json": "metrics.json", "scores.jsonl": "scores"}


@pytest.mark.parametrize("name", LARGE)
def test_a_run_s_sparse_file_of_20_gb_fills_no_memory(name: str, tiny_copy: Path, cli: Cli) -> None:
    os.truncate(tiny_copy / name, 20 * 2**30)
    (tiny_copy / "manifest.json").unlink()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = cli("report", tiny_copy)
    assert done.code == 2
    assert LARGE[name] in done.err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2**20  # KiB


def test_a_user_s_settings_may_still_name_a_curriculum(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n" + STAGES)
    for there in ("cr4", "mine.yaml", str(tmp_path / "mine.yaml")):
        (tmp_path / "base.yaml").write_text(json.dumps({"curriculum": there}))
        os.chdir(tmp_path)  # as `cli` has done
        assert read_config(tmp_path / "base.yaml").curriculum.stages


def test_every_run_reads_its_settings_in_that_way(tiny_run: Path) -> None:
    run = RunFolder.open(tiny_run)
    assert run.config == read_config(run.config_file)


# Links -----------------------------------------------------------------------------------------------------


def as_a_cache_makes_it(run: Path, cache: Path) -> Path:
    """Move a run into a cache of downloads, as the Hub's is laid out: every file a link to a blob; return the run."""
    there = cache / "snapshots" / "0a1b2c"
    (cache / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in run.rglob("*") if path.is_file())):
        link = there / file.relative_to(run)
        link.parent.mkdir(parents=True, exist_ok=True)
        file.rename(cache / "blobs" / str(number))
        link.symlink_to(os.path.relpath(cache / "blobs" / str(number), link.parent))
    return there


EVERY = ["evaluate", "record", "export", "resume", "report", "plot", "compare", "references", "extend"]


def as_it_is(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


@pytest.mark.parametrize("verb", EVERY)
def test_a_run_of_links_is_not_read_and_nobody_is_told_to_delete_it(verb: str, tiny_copy: Path, cli: Cli) -> None:
    cache = tiny_copy.with_name("cache")
    run = as_a_cache_makes_it(tiny_copy, cache)
    before = as_it_is(cache)
    done = cli(verb, run, *(["--task", "reach", "--steps", "64"] if verb == "extend" else []))
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert re.search(r" is a link to [./]*blobs/\d", done.err)
    assert not re.search(r"remove|delete|train again", done.err)
    assert as_it_is(cache) == before


def test_the_advice_on_links_works_as_it_is_told(tiny_copy: Path, cli: Cli, tmp_path: Path) -> None:
    run = as_a_cache_makes_it(tiny_copy, tmp_path / "cache $(touch x) [a]")
    advice = cli("evaluate", run).err.strip().rpartition("use the copy: ")[2]
    assert advice.startswith("cp -rL ")
    subprocess.run(advice, shell=True, check=True, cwd=tmp_path)
    assert not (tmp_path / "x").exists()
    assert cli("evaluate", tmp_path / "COPY", "--task", "reach", "--episodes", "2").code == 0


@pytest.mark.parametrize("name", ["metrics.json", "videos", "notes"])
def test_a_pipe_in_a_run_is_no_link_and_is_not_to_be_deleted_either(name: str, tiny_copy: Path, cli: Cli) -> None:
    (tiny_copy / name).unlink(missing_ok=True)
    os.mkfifo(tiny_copy / name)
    done = cli("evaluate", tiny_copy)
    assert (done.code, done.err) == (
        2,
        f"clrobot: {tiny_copy / name} is a pipe or a device; move it elsewhere: a run holds only its own files\n",
    )
