"""Whatever somebody gives: it is understood, or refused in one short sentence, and nothing is made."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clrobot.cli import main
from clrobot.errors import UserError
from clrobot.experiment.config import make_config
from clrobot.experiment.config_file import dump_config, read_config
from clrobot.experiment.yaml_file import load_curriculum
from clrobot.training.training import Training

EXAMPLES = int(os.environ.get("CLROBOT_EXAMPLES", "40"))  # thousands, when somebody has the time

some = settings(
    derandomize=True,
    deadline=None,
    max_examples=EXAMPLES,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Any text that can be written to a file and given as a word: no lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "quick",
        "reach",
        "1e3",
        "1_000",
        "nan",
        ".inf",
        "-",
        "--",
        "a\nb",
        "\0",
        "x" * 3000,
        "ü" * 300,
        "..",
        "/",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 10**12, 10**13, 10**400, 2**31])
    | st.floats()
    | texts
    | st.dates()
    | st.binary(max_size=8)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
steps = st.sampled_from([1, 1000, "1e3", "50_000", 2.0]) | values
stages = st.fixed_dictionaries({"task": st.sampled_from(["reach", "push", "rech"]) | values, "steps": steps})
curricula = st.fixed_dictionaries(
    {}, optional={"name": texts | values, "stages": st.lists(stages | values, max_size=3) | values, "more": values}
)
NAMES = ["curriculum", "method", "seed", "steps", "torch_threads", "device", "network", "ppo", "evaluation", "video"]
NAMES += ["checkpoint", "ewc", "progressive", "quadratic", "stepps", "a\nb", "y" * 600]
GROUPS = ["widths", "num_envs", "gamma", "learning_rate", "episodes", "enabled", "seconds", "strength", "nope"]
groups = st.dictionaries(st.sampled_from(GROUPS), values, max_size=3)
configurations = st.dictionaries(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(GROUPS), values, max_size=3) | curricula | values,
    max_size=4,
)


def understood(attempt: Callable[[], Any]) -> bool:
    """Return whether it was; otherwise it must have been refused as people are."""
    try:
        attempt()
    except UserError as error:
        one_sentence(str(error))
        return False
    return True


def one_sentence(sentence: str) -> None:
    assert sentence.strip()
    assert "\n" not in sentence
    assert "\0" not in sentence
    assert "Traceback" not in sentence
    assert len(sentence) < 500, sentence


# Files -----------------------------------------------------------------------------------------------------


@some
@given(curricula)
def test_any_mapping_as_a_curriculum_file(tmp_path: Path, content: dict[str, Any]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    understood(lambda: load_curriculum(file))
    assert list(tmp_path.iterdir()) == [file]


@some
@given(values)
def test_any_yaml_as_a_file(tmp_path: Path, content: Any) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    understood(lambda: load_curriculum(file))
    understood(lambda: read_config(file))


@some
@given(st.binary(max_size=200) | texts.map(lambda text: text.encode()))
@example(b"!!int ''")
@example(b"!!bool x")
@example(b"!!timestamp x")
@example(b"a: 2001-99-99")
@example(b"a: " + b"9" * 5000)
@example(b"[" * 5000)
@example(b"&a [*a]")
@example(b"&a {name: x, stages: [*a]}")
@example(b"? [1]\n: 2")
@example(b"!!python/object/apply:os.abort []")
@example(b"name: x\nstages: &a\n  - {task: reach, steps: 1, more: *a}\n")
@example(b"\xef\xbb\xbfname: x")
@example(b"a\0b")
def test_any_bytes_as_a_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    assert not understood(lambda: load_curriculum(file))
    understood(lambda: read_config(file))


@some
@given(texts)
@example("x" * 300 + ".yaml")
@example("a\0.yaml")
@example("/proc/self/mem")
def test_any_text_as_a_curriculum_and_as_a_configuration(tmp_path: Path, text: str) -> None:
    understood(lambda: load_curriculum(text))
    understood(lambda: read_config(tmp_path / text))
    assert list(tmp_path.iterdir()) == []


# Configurations --------------------------------------------------------------------------------------------


@some
@given(configurations)
def test_any_mapping_as_a_configuration(tmp_path: Path, content: dict[str, Any]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    understood(lambda: make_config(**content))
    understood(lambda: read_config(file))
    assert list(tmp_path.iterdir()) == [file]


@some
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "method": st.sampled_from(["ewc", "finetune", "progressive"]),
            "seed": st.integers(0, 2**31 - 1),
            "steps": st.integers(1, 10**12),
            "network": st.fixed_dictionaries({"widths": st.lists(st.integers(1, 512), min_size=1, max_size=4)}),
            "ppo": st.fixed_dictionaries({"gamma": st.floats(0.01, 1), "learning_rate": st.floats(1e-300, 1)}),
            "curriculum": st.sampled_from(["quick", "cr4"]),
        },
    )
)
def test_what_is_written_is_what_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    config = make_config(**content)
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert read_config(file) == config


# Command lines ---------------------------------------------------------------------------------------------


class Begun(Exception):
    """The words were understood, and the training would begin."""


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def begin(*_: Any) -> None:
        raise Begun

    monkeypatch.setattr(Training, "begin", begin)
    monkeypatch.chdir(tmp_path)


FLAGS = ["--steps", "--seed", "--method", "--curriculum", "--device", "--network.widths", "--ppo.gamma"]
FLAGS += ["--ppo.num-envs", "--ewc.strength", "--evaluation.episodes", "--checkpoint.seconds", "--config", "--out"]
WORDS = ["1", "0", "-1", "64", "1e3", "nan", "inf", "-inf", "9" * 5000, "1e999", "", " ", "ewc", "quick", "out"]
WORDS += [
    "None",
    "true",
    "[1]",
    "{}",
    "a\nb",
    "x" * 3000,
    "\0",
    "/",
    "..",
    "/dev/null",
    "/proc/none/x",
    "\udce9",
    "1.5",
]
words = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(some, max_examples=EXAMPLES // 2)
@given(st.lists(st.tuples(st.sampled_from(FLAGS), words), max_size=3))
@example([("--steps", "9" * 5000)])
@example([("--seed", "9" * 5000)])
@example([("--out", "\0")])
@example([("--out", "x" * 3000)])
@example([("--config", "\0")])
@example([("--curriculum", "\0")])
@example([("--curriculum", "\udce9")])
@example([("--method", "x" * 3000)])
@pytest.mark.usefixtures("no_training")
def test_any_words_for_train(tmp_path: Path, pairs: list[tuple[str, str]]) -> None:
    line = ["train", *(word for pair in pairs for word in pair)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises((Begun, SystemExit)) as end:
        main(line)
    said = err.getvalue()
    if isinstance(end.value, Begun):
        assert said == ""
    elif end.value.code == 0:
        assert "usage" in out.getvalue()  # some word was --help
    else:
        refused(end.value.code, said)
    assert list(tmp_path.iterdir()) == []


@settings(some, max_examples=EXAMPLES // 2)
@given(st.sampled_from(["evaluate", "record", "resume", "report", "compare", "references"]), words)
@pytest.mark.usefixtures("no_training")
def test_any_word_as_a_run(tmp_path: Path, verb: str, word: str) -> None:
    line = [verb, "--", word] if word.startswith("-") else [verb, word]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(line)
    refused(end.value.code, err.getvalue())
    assert list(tmp_path.iterdir()) == []


def refused(code: Any, said: str) -> None:
    assert code == 2
    assert "Traceback" not in said
    if said.startswith("clrobot: "):  # otherwise the parser's own box
        one_sentence(said.removesuffix("\n"))
