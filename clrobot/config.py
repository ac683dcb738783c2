"""The settings of a run: one frozen model, from defaults, a file and flags, written back as `config.yaml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

import torch as th
import tyro
import yaml
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)
from tyro.constructors import StructConstructorSpec, StructFieldSpec, StructTypeInfo

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.composite import Composite, why_not_together
from clrobot.agents.methods import METHODS
from clrobot.agents.plasticity import Plasticity, PlasticitySettings
from clrobot.agents.settings import FrozenSettings
from clrobot.curriculum import Curriculum, Steps, cut, explain, load_curriculum, nearest, parse_yaml, shown
from clrobot.errors import UserError

if TYPE_CHECKING:
    from clrobot.agents.algorithm import Algorithm
    from clrobot.agents.method import Method


# A curriculum is one word on the command line: a name or a file.
_CURRICULUM_WORD = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="NAME|FILE",
    instance_from_str=lambda words: load_curriculum(words[0]),
    is_instance=lambda value: isinstance(value, Curriculum),
    str_from_instance=lambda value: [value.name],
)


# How settings are read from the command line; pass it to tyro as `registry`.
COMMAND_LINE = tyro.constructors.ConstructorRegistry()


def _number_word(metavar: str) -> tyro.constructors.PrimitiveConstructorSpec[Any]:
    """Let tyro pass on a word that is no number: RunConfig refuses it, and names the setting."""
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: _number(words[0]),
        is_instance=lambda value: value is None or isinstance(value, int | float),
        str_from_instance=lambda value: [str(value)],
    )


def _number(word: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


_NUMBER_WORDS = {int: _number_word("INT"), float: _number_word("FLOAT")}


@COMMAND_LINE.struct_rule
def _settings_from_words(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Let tyro only assemble settings; RunConfig validates the whole at once and names a bad value's full path."""
    if not (isinstance(info.type, type) and issubclass(info.type, FrozenSettings)):
        return None
    inner = info.default if isinstance(info.default, FrozenSettings) else info.type.model_construct()
    hints = get_type_hints(info.type, include_extras=True)

    def type_of(name: str) -> Any:
        word = _NUMBER_WORDS.get(get_type_hints(info.type)[name])
        return hints[name] if word is None else Annotated[hints[name], word]

    fields = tuple(
        StructFieldSpec(name, type_of(name), getattr(inner, name), field.description)
        for name, field in info.type.model_fields.items()
    )

    def assemble(**values: Any) -> Any:
        return info.type.model_construct(**values)

    assemble.__doc__ = info.type.__doc__  # the group's help text
    return StructConstructorSpec(make_config if issubclass(info.type, RunConfig) else assemble, fields)


class EvaluationSettings(FrozenSettings):
    """How skills are measured."""

    episodes: int = Field(50, ge=1)
    """Episodes of each task trained so far, after each stage."""
    curve_points: int = Field(10, ge=0)
    """Evaluations of a stage's own task during it, for learning curves and transfer."""
    curve_episodes: int = Field(20, ge=1)
    """Episodes in each of those, and of each task that is still to come, after each stage."""
    stochastic: bool = True
    """After each stage, also measure the tasks so far with sampled actions, over a third as many episodes."""
    seed: int = Field(1_000_000, ge=0)
    """Of the start states, which are the same in every run that has the same seed here."""

    @property
    def zero_shot_episodes(self) -> int:
        """Episodes of a task that is still to come: what is not there yet needs no fine scale."""
        return min(self.episodes, self.curve_episodes)


class VideoSettings(FrozenSettings):
    """Which films a training makes."""

    enabled: bool = True
    """Record each task seen so far after each stage."""
    episodes: int = Field(1, ge=1)
    """Episodes in each film."""


class CheckpointSettings(FrozenSettings):
    """When a training is saved within a stage, to be resumed from."""

    seconds: float = Field(20.0, ge=0)
    """Seconds between two; 0 saves at every update."""
    steps: Annotated[Steps | None, _NUMBER_WORDS[int]] = None
    """Control steps between two, in place of seconds."""
    enabled: bool = True
    """Save within stages at all."""


class NetworkSettings(FrozenSettings):
    """The sizes of the networks."""

    widths: tuple[int, ...] = Field((64, 64), min_length=1)
    """Units in each hidden layer of actor and critic (of each column, in a progressive network)."""
    layer_norm: bool = False
    """Normalise each hidden layer before its tanh."""

    @field_validator("widths")
    @classmethod
    def _positive(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if min(widths) < 1:
            raise ValueError(f"widths {widths}; expected positive numbers of units")
        return widths


class RunConfig(FrozenSettings):
    """Train one agent through a curriculum."""

    curriculum: Annotated[Curriculum, _CURRICULUM_WORD] = load_curriculum("quick")
    """A curriculum's name (`clrobot curricula`) or a YAML file."""
    method: str = "ewc"
    """The continual-learning method (`clrobot methods`), or a regulariser with a memory, such as ewc+replay."""
    algo: str = "ppo"
    """The algorithm that learns each task: ppo or sac."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of everything random in the run."""
    steps: Annotated[Steps | None, _NUMBER_WORDS[int]] = None
    """Control steps in every stage, in place of the curriculum's own."""
    torch_threads: int = Field(1, ge=1)
    """Threads of torch; another number gives other bits."""
    device: str = "cpu"
    """Where the networks live: cpu, cuda, …"""
    memory_limit_mb: int = Field(4096, ge=0)
    """The most that a method may keep beside the policy, in MiB; checked before training."""
    tracker: Literal["none", "wandb", "mlflow", "trackio"] = "none"
    """An experiment tracker to tell as well, if it is installed."""
    network: NetworkSettings = NetworkSettings()
    plasticity: PlasticitySettings = PlasticitySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    video: VideoSettings = VideoSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()

    @field_validator("curriculum", mode="before")
    @classmethod
    def _load(cls, value: Any) -> Any:
        return load_curriculum(value) if isinstance(value, str | Path) else value

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        method_classes(name)
        return name

    @field_validator("algo")
    @classmethod
    def _known_algorithm(cls, name: str) -> str:
        algorithm_class(name)
        return name

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        for part in method_classes(self.method):
            if self.algo in part.refuses:
                raise ValueError(f"{part.name} does not work with {self.algo}: {part.refuses[self.algo]}")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _resolve_steps(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Write `steps` into the curriculum's stages, where it then stands alone."""
        config = validate(data)
        if config.steps is None:
            return config
        return config.model_copy(update={"curriculum": config.curriculum.with_steps(config.steps), "steps": None})

    @field_serializer("curriculum")
    def _plain(self, curriculum: Curriculum) -> dict[str, Any]:
        return curriculum.model_dump(mode="json")


def method_class(name: str) -> type[Method]:
    """Return the method of that name.

    Raises:
        UserError: there is none.
    """
    for method in METHODS:
        if method.name == name:
            return method
    raise UserError(f"unknown method {shown(name)}{nearest(name, (m.name for m in METHODS))}")


def method_classes(name: str) -> tuple[type[Method], ...]:
    """Return the methods in a name such as `ewc` or `ewc+replay`.

    Raises:
        UserError: one is unknown, or they do not go together.
    """
    parts = tuple(method_class(part) for part in name.split("+"))
    if len(parts) > 2:
        raise UserError(f"method {shown(name)} has {len(parts)} parts; expected one, or a regulariser and a memory")
    if len(parts) == 2 and (reason := why_not_together(*parts)) is not None:
        raise UserError(f"method {shown(name)}: {reason}; compose one of ewc's family with distillation or replay")
    return parts


def algorithm_class(name: str) -> type[Algorithm]:
    """Return the algorithm of that name.

    Raises:
        UserError: there is none.
    """
    for algorithm in ALGORITHMS:
        if algorithm.name == name:
            return algorithm
    raise UserError(f"unknown algorithm {shown(name)}{nearest(name, (a.name for a in ALGORITHMS))}")


@cache
def full_config_class() -> type[RunConfig]:
    """Return RunConfig with a group of settings for each algorithm and each method that has any: `--ewc.strength`."""
    choices: tuple[Any, ...] = (*ALGORITHMS, *METHODS)
    groups: dict[str, Any] = {
        choice.name: (choice.Settings, choice.Settings()) for choice in choices if choice.Settings.model_fields
    }
    return create_model("RunConfig", __base__=RunConfig, __doc__=RunConfig.__doc__, **groups)


def network_arguments(config: RunConfig) -> dict[str, Any]:
    """Return what a policy is told of its networks: their classes, `widths`, `layer_norm`."""
    return make_method(config).networks() | dict(config.network)


def check_device(device: str) -> None:
    """Try torch's device of that name.

    Raises:
        UserError: nothing can be computed there.
    """
    try:
        float(th.zeros(1, device=device) + 1)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"device {device!r} cannot be used ({reason}); expected cpu, or cuda where there is one"
        ) from error


def make_algorithm(config: RunConfig) -> Algorithm:
    """Return the configured algorithm with its settings."""
    chosen = algorithm_class(config.algo)
    return chosen(getattr(config, chosen.name, chosen.Settings()))


def make_method(config: RunConfig) -> Method:
    """Return the configured method with its settings, and with the plasticity options that are on."""
    parts: list[Method] = [c(getattr(config, c.name, c.Settings())) for c in method_classes(config.method)]
    plasticity = Plasticity(config.plasticity)
    if plasticity.is_on:
        parts.insert(0, plasticity)  # so that what a method restores is restored last
    return parts[0] if len(parts) == 1 else Composite(parts)


def settings_in_use(config: RunConfig) -> dict[str, Any]:
    """Return the settings in JSON's types, without the groups of methods and algorithms that the run does not use."""
    used = {config.algo, *config.method.split("+")}
    choices = {choice.name for choice in METHODS} | {choice.name for choice in ALGORITHMS}
    return {name: value for name, value in config.model_dump(mode="json").items() if name not in choices - used}


def make_config(**settings: Any) -> RunConfig:
    """Return a configuration from keyword arguments: `make_config(method="ewc", ewc={"strength": 10})`.

    Raises:
        UserError: a name or a value is not valid.
    """
    try:
        return full_config_class().model_validate(settings)
    except ValidationError as error:
        raise UserError(explain(error)) from error


def read_config(path: Path) -> RunConfig:
    """Return the configuration in a YAML file, such as a run's `config.yaml`.

    Raises:
        UserError: the file cannot be read or is not a configuration.
    """
    what = f"configuration {cut(str(path))}"
    try:
        _, data = parse_yaml(path.read_text(encoding="utf-8"), what)
    except OSError as error:
        raise UserError(f"{what}: {error.strerror}; give a readable YAML file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what}: not UTF-8 text; give a YAML file") from error
    except ValueError as error:  # characters that no path has
        raise UserError(f"{what}: no such file; give a readable YAML file") from error
    if not isinstance(data, dict):
        raise UserError(f"{what}: {type(data).__name__}; expected a mapping of settings")
    try:
        return full_config_class().model_validate(data)
    except ValidationError as error:
        raise UserError(f"{what}: {explain(error)}") from error
    except UserError as error:  # an unknown method or curriculum
        raise UserError(f"{what}: {error}") from error


def dump_config(config: RunConfig) -> str:
    """Return the YAML text that `read_config` reads back."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
