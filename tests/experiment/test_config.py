"""Settings: defaults, the file they are written to and read from, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from clrobot.agents.algorithms.ppo import PPOSettings
from clrobot.agents.methods import METHODS
from clrobot.agents.methods.shared.method import Method, Phase
from clrobot.errors import UserError
from clrobot.experiment.choices import method_class
from clrobot.experiment.config import RunConfig, full_config_class, make_config, settings_in_use, start_of
from clrobot.experiment.config_file import dump_config, read_config, read_run_config
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum, Stage
from clrobot.experiment.method import make_method


def read(tmp_path: Path, text: str | bytes) -> RunConfig:
    file = tmp_path / "config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_config(file)


# Defaults, and there and back ------------------------------------------------------------------------------


def test_the_defaults():
    config = make_config()
    assert config.curriculum == CURRICULA["quick"]
    assert (config.method, config.seed, config.steps, config.device) == ("ewc", 0, None, "cpu")
    assert config.torch_threads == 1, "part of a run's identity, so not the machine's number of cores"
    assert config.ppo == PPOSettings()
    assert config.video.enabled


def test_every_method_with_settings_has_its_group():
    config = make_config()
    for method in METHODS:
        if method.Settings.model_fields:
            assert getattr(config, method.name) == method.Settings()
        else:
            assert not hasattr(config, method.name)


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_make_method_gives_the_method_its_own_settings(method: str):
    config = make_config(method=method)
    made = make_method(config)
    assert type(made) is method_class(method)
    assert made.settings == getattr(config, method, method_class(method).Settings())


def test_make_method_passes_on_what_was_set():
    assert make_method(make_config(method="ewc", ewc={"strength": 7.0})).settings.strength == 7.0


UNUSUAL = {
    "curriculum": Curriculum(
        name="çà",
        stages=(Stage(task="reach", steps=3), Stage(task="pick-place", steps=4), Stage(task="reach", steps=5)),
    ),
    "method": "progressive",
    "seed": 2**31 - 1,
    "network": {"widths": (7, 5, 3)},
    "ppo": {"learning_rate": 1e-7 / 3, "log_std_init": -1.25},
    "plasticity": {"reset_optimizer": False},
    "evaluation": {"episodes": 3, "curve_points": 0},
    "video": {"enabled": False},
    "ewc": {"strength": 1e22, "states": 9},
}


@pytest.mark.parametrize("settings", [{}, {"steps": 64}, UNUSUAL, UNUSUAL | {"steps": 9}])
def test_what_is_dumped_is_read_back_equal(settings: dict, tmp_path: Path):
    config = make_config(**settings)
    again = read(tmp_path, dump_config(config))
    assert again == config
    assert dump_config(again) == dump_config(config)


def test_the_file_holds_every_setting_in_plain_yaml():
    data = yaml.safe_load(dump_config(make_config()))
    assert list(data) == list(full_config_class().model_fields)
    assert data["curriculum"] == {
        "name": "quick",
        "stages": [{"task": stage.task, "steps": stage.steps} for stage in CURRICULA["quick"].stages],
    }
    assert set(data["ppo"]) == set(PPOSettings.model_fields)


def test_a_file_may_leave_out_what_stays_as_it_is(tmp_path: Path):
    assert read(tmp_path, "seed: 3\nppo: {gamma: 0.5}\n") == make_config(seed=3, ppo={"gamma": 0.5})


def test_a_file_may_name_its_curriculum(tmp_path: Path):
    assert read(tmp_path, "curriculum: cr4\n").curriculum == CURRICULA["cr4"]


@pytest.mark.parametrize("number", ["1e-3", "1.0e-3", "0.001", "'1e-3'"])
def test_a_file_may_write_a_number_as_people_do(number: str, tmp_path: Path):
    assert read(tmp_path, f"ewc: {{strength: {number}}}\n").ewc.strength == 1e-3


def test_a_configuration_is_frozen():
    config = make_config()
    for settings in (config, config.ppo, config.network, config.evaluation, config.video):
        with pytest.raises(ValueError, match="frozen"):
            settings.seed = 1


# The steps override ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("curriculum", ["cr4", CURRICULA["cr4"], CURRICULA["cr4"].model_dump(mode="json")])
def test_steps_are_written_into_every_stage(curriculum):
    config = make_config(curriculum=curriculum, steps=64)
    assert config.curriculum == CURRICULA["cr4"].with_steps(64)
    assert config.steps is None  # the stages are the one place where it stands


def test_without_steps_the_curriculum_keeps_its_own():
    assert make_config(curriculum="cr4").curriculum == CURRICULA["cr4"]


@pytest.mark.parametrize("steps", [64.0, "64"])
def test_steps_that_become_a_number_are_written_into_every_stage(steps):
    config = make_config(steps=steps)
    assert config.curriculum == CURRICULA["quick"].with_steps(64)


# What is refused -------------------------------------------------------------------------------------------

REFUSED = {
    # the settings, the dotted path, and the value or reason that the sentence names
    "an unknown key": ({"sed": 1}, "`sed` is not a known key", ""),
    "an unknown key in a group": ({"ppo": {"gama": 0.9}}, "`ppo.gama` is not a known key", ""),
    "an unknown key of a method": ({"ewc": {"strenght": 1}}, "`ewc.strenght` is not a known key", ""),
    "a group without settings": ({"finetune": {}}, "`finetune` is not a known key", ""),
    "a negative strength": ({"ewc": {"strength": -1}}, "`ewc.strength` is -1", "greater than or equal to 0"),
    "a strength that is no number": ({"ewc": {"strength": math.nan}}, "`ewc.strength` is nan", ""),
    "a discount above one": ({"ppo": {"gamma": 2}}, "`ppo.gamma` is 2", "less than or equal to 1"),
    "no simulations": ({"ppo": {"num_envs": 0}}, "`ppo.num_envs` is 0", ""),
    "no layers": ({"network": {"widths": []}}, "`network.widths` is []", ""),
    "a layer without units": ({"network": {"widths": [8, 0]}}, "`network.widths`: widths (8, 0)", "positive"),
    "widths as a number": ({"network": {"widths": 8}}, "`network.widths` is 8", ""),
    "a group as a number": ({"ppo": 3}, "`ppo` is 3", ""),
    "a negative seed": ({"seed": -1}, "`seed` is -1", ""),
    "a seed too large": ({"seed": 2**31}, "`seed` is 2147483648", ""),
    "zero steps": ({"steps": 0}, "`steps` is 0", "greater than 0"),
    "negative steps": ({"steps": -5}, "`steps` is -5", "greater than 0"),
    "half a step": ({"steps": 1.5}, "`steps` is 1.5", ""),
    "no episodes": ({"evaluation": {"episodes": 0}}, "`evaluation.episodes` is 0", ""),
    "no threads": ({"torch_threads": 0}, "`torch_threads` is 0", ""),
    "neither yes nor no": ({"video": {"enabled": "maybe"}}, "`video.enabled` is 'maybe'", ""),
    "yes as a seed": ({"seed": True}, "`seed`: true; expected a number", ""),
    "no as episodes": ({"evaluation": {"episodes": False}}, "`evaluation.episodes`: false; expected a number", ""),
    "yes among widths": ({"network": {"widths": [8, True]}}, "`network.widths`: ", "True"),
    "an unknown method": ({"method": "ewx"}, "unknown method 'ewx'", "did you mean ewc?"),
    "a method of another world": ({"method": "zzz"}, "unknown method 'zzz'", "expected one of finetune, "),
    "a method that is nothing": ({"method": None}, "`method` is None", ""),
    "an unknown curriculum": ({"curriculum": "quik"}, "unknown curriculum 'quik'", "did you mean quick"),
    "a curriculum as a number": ({"curriculum": 5}, "`curriculum` is 5", ""),
    "a curriculum without stages": ({"curriculum": {"name": "a"}}, "`curriculum.stages` is missing", ""),
    "an unknown task": (
        {"curriculum": {"name": "a", "stages": [{"task": "reach", "steps": 1}, {"task": "rech", "steps": 1}]}},
        "`curriculum.stages.2.task`: unknown task 'rech'",
        "did you mean reach?",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_setting_is_named_with_its_whole_path(case: str, tmp_path: Path):
    settings, clause, reason = REFUSED[case]
    with pytest.raises(UserError) as caught:
        make_config(**settings)
    sentence = str(caught.value)
    assert clause in sentence
    assert reason in sentence
    assert "\n" not in sentence
    with pytest.raises(UserError) as caught:
        read(tmp_path, yaml.safe_dump(settings))
    # A YAML list where Python had a tuple is the only difference that a file may make.
    assert clause in str(caught.value)


@pytest.mark.parametrize("text", ["method: ewx\n", "curriculum: quik\n"])
def test_the_file_is_named_with_an_unknown_name_in_it(text: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"config\.yaml"):
        read(tmp_path, text)


@pytest.mark.parametrize("curriculum", [5, None, ["a"]])
def test_a_curriculum_of_the_wrong_type_is_refused_beside_steps_too(curriculum):
    with pytest.raises(UserError, match="`curriculum`"):
        make_config(curriculum=curriculum, steps=64)


def test_the_path_is_whole_beside_steps_too():
    with pytest.raises(UserError, match=r"`curriculum\.stages` is missing"):
        make_config(curriculum={"name": "a"}, steps=64)


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("ppo", "learning_rate", math.inf),
        ("ppo", "clip_range", math.inf),
        ("ppo", "log_std_init", math.nan),
        ("ewc", "strength", math.inf),
    ],
)
def test_no_setting_is_infinite_or_no_number(group: str, name: str, value: float):
    with pytest.raises(UserError, match=rf"`{group}\.{name}` is"):
        make_config(**{group: {name: value}})


NOT_SETTINGS = {
    "empty": ("", "expected a mapping"),
    "a word": ("ewc", "str; expected a mapping"),
    "a list": ("- seed\n", "list; expected a mapping"),
    "bad syntax": ("seed: {", "line 1"),
    "a Python tag": ("seed: !!python/object/apply:os.abort []\n", "python/object/apply"),
    "a list as a key": ("? [a]\n: 1\n", "unhashable key"),
    "a number as a key": ("1: 2\n", "keys should be strings"),
    "a zero byte": (b"seed: \x00\n", "#x0000"),
    "not UTF-8": (b"method: caf\xe9\n", "UTF-8"),
    "too deep": ("[" * 1500, "line 1: more than 20 levels"),
}


@pytest.mark.parametrize("case", NOT_SETTINGS)
def test_a_file_that_holds_no_settings_is_refused_by_name(case: str, tmp_path: Path):
    text, clause = NOT_SETTINGS[case]
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert clause in str(caught.value)
    assert "config.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"none\.yaml: No such file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="Is a directory"):
        read_config(tmp_path)


LONG = {
    "name": "long",
    "stages": [{"task": t, "steps": n} for t, n in (("reach", 8_000), ("push", 4_000), ("button-press", 8_000))],
}


def starts(**settings: Any) -> list[str]:
    """How each stage's slot begins."""
    config = make_config(**{"curriculum": LONG} | settings)
    return [start_of(config, slot).choose for slot in range(len(config.curriculum.stages))]


WARM, FRESH = ["none", "clear", "clear"], ["none"] * 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "distillation"}, WARM),
        ({"method": "finetune"}, WARM),
        ({"method": "frozen-copies"}, WARM),
        ({"method": "generative-replay"}, WARM),
        ({"method": "ewc+replay"}, WARM),
        ({"method": "progressive"}, WARM),
        ({"method": "progressive", "progressive": {"later_width": 0.5}}, FRESH),  # the columns differ
        ({"method": "packnet"}, FRESH),
        ({"method": "progress-compress"}, FRESH),
        ({"method": "scratch"}, FRESH),
        ({"method": "multitask"}, FRESH),
        ({"method": "ewc", "algo": "sac"}, FRESH),
        ({"method": "ewc", "curriculum": LONG | {"heads": "one"}}, FRESH),
        ({"method": "ewc", "steps": 5_999}, ["none", "clear", "none"]),  # trials take 800 and 1,200
        ({"method": "ewc", "steps": 3_999}, FRESH),
        ({"method": "ewc", "steps": 2_999, "warm_start": {"trial_steps": 50}}, ["none", "clear", "none"]),
        ({"method": "ewc", "ppo": {"num_envs": 512}}, FRESH),  # an iteration takes the whole of the stage
        ({"method": "ewc", "warm_start": {"choose": "none"}}, FRESH),
        ({"method": "scratch", "warm_start": {"choose": "return"}}, ["return"] * 3),  # refused when it is trained
    ],
)
def test_a_slot_usually_begins_as_what_is_clearly_better_where_that_is_cheap(
    settings: dict[str, Any], expected: list[str]
) -> None:
    assert starts(**settings) == expected


def test_a_world_that_tells_no_success_has_no_trial() -> None:
    worlds = [{"task": "gymnasium:Reacher-v5", "steps": 90_000}, {"task": "gymnasium:Pusher-v5", "steps": 90_000}]
    told = [world | {"success": {"return_above": -5}} for world in worlds]
    assert starts(method="ewc", curriculum={"name": "w", "stages": worlds}) == ["none", "none"]
    assert starts(method="ewc", curriculum={"name": "w", "stages": told}) == ["none", "clear"]


def test_a_method_with_another_network_says_itself_how_its_slots_usually_begin() -> None:
    class Plain(Method):
        pass

    class Other(Method):
        network_class = staticmethod(lambda: None)  # type: ignore[assignment]

    class Joint(Method):
        def trained_slots(self, k: int, n: int) -> range:
            return range(n)

    class Unable(Method):
        def why_no_warm_start(self) -> str:
            return "it is not made for it"

    class Looking(Method):
        def phases(self, steps: int) -> list[Phase]:
            return [Phase("look", 100, curve=False), Phase("train", steps - 100)]

    methods = (Plain, Other, Joint, Unable, Looking)
    assert [method.begins_warm(None) for method in methods] == [True, False, False, False, False]


def test_what_is_usual_is_used_as_what_it_comes_to() -> None:
    """A run that says so is no other run; one whose stages differ is."""

    def used(**settings: Any) -> dict[str, Any]:
        return settings_in_use(make_config(**{"curriculum": LONG, "method": "ewc"} | settings))["warm_start"]

    assert used() == used(warm_start={"choose": "clear"})
    assert used(steps=3_000) == used(steps=3_000, warm_start={"choose": "none"}) == {"choose": "none"}
    assert used(steps=5_999)["choose"] == "usual"


def test_a_run_from_before_there_was_a_choice_has_none(tmp_path: Path) -> None:
    config = make_config(curriculum=LONG, method="distillation").model_dump(mode="json")
    del config["warm_start"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_run_config(tmp_path / "config.yaml").warm_start.choose == "none"
    assert read_config(tmp_path / "config.yaml").warm_start.choose == "usual", "a new training has the default"


def test_what_is_off_plays_no_part() -> None:
    """Or a new option of it would make every published row one of older defaults."""

    def of(**warm_start: Any) -> set[str]:
        config = make_config(curriculum="quick", method="scratch", warm_start=warm_start)
        return set(settings_in_use(config)["warm_start"])

    assert of(trial_envs=5) == {"choose"}
    assert of(choose="newest") == {"choose", "actor", "critic", "kickstart"}
    assert of(choose="success") == {*of(choose="newest"), "trial_envs", "trial_steps", "solves"}
    assert of(choose="clear") == {*of(choose="newest"), "trial_envs", "trial_steps", "times"}
    assert of(choose="race", kickstart=1.0) >= {"racers", "race_share", "kickstart_share"}
    assert settings_in_use(make_config(curriculum="quick", method="ewc")).keys() >= {"ppo", "ewc"}
    assert not settings_in_use(make_config(curriculum="quick", method="ewc")).keys() & {"sac", "si", "replay"}
    assert settings_in_use(make_config(curriculum="quick"))["gradient"] == {"clip": "sum"}


def test_what_of_a_method_is_for_another_algorithm_plays_no_part() -> None:
    def of(algo: str) -> set[str]:
        return set(settings_in_use(make_config(curriculum="quick", method="ewc+replay", algo=algo))["replay"])

    assert of("ppo") == {"strength", "value_weight", "v_trace", "memory", "batch_size"}
    assert of("sac") == {"strength", "share", "memory", "batch_size"}
