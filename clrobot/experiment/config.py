"""The settings of a run: one frozen model, from defaults, a file and flags, written back as `config.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)

from clrobot.agents.algorithms import ALGORITHMS
from clrobot.agents.algorithms.algorithm import Algorithm
from clrobot.agents.methods import METHODS_BY_NAME
from clrobot.agents.methods.shared.method import Method
from clrobot.agents.methods.shared.plasticity import PlasticitySettings
from clrobot.agents.settings import FrozenSettings
from clrobot.errors import UserError, explain, shown
from clrobot.experiment.choices import algorithm_class, method_classes
from clrobot.experiment.curricula import CURRICULA
from clrobot.experiment.curriculum import Curriculum, Steps
from clrobot.experiment.machine import Device, Machine, MemoryLimit, PhysicsThreads, SnapshotSeconds, Tracker
from clrobot.experiment.warm_start import CHEAP, GradientSettings, WarmStartSettings
from clrobot.experiment.words import CURRICULUM_WORD, NUMBER_WORDS
from clrobot.experiment.yaml_file import load_curriculum

# Settings that change no weight and no score: how a training is saved, filmed, tracked, limited, spread over cores.
CHANGES_NO_SCORE: Final = ("video", "checkpoint", "memory_limit_mb", "tracker", "threads", "env_processes")

# More than anybody will use; what is beyond would fill a machine before it fails.
_UNITS = 16_384
_OF_A_METHOD = 10**9  # states, rows, steps; its memory has a limit of its own


class EvaluationSettings(FrozenSettings):
    """How skills are measured."""

    episodes: int = Field(50, ge=1, le=10_000)
    """Episodes of each task trained so far, after each stage."""
    curve_points: int = Field(10, ge=0, le=10_000)
    """Evaluations of a stage's own task during it, for learning curves and transfer."""
    curve_episodes: int = Field(20, ge=1, le=10_000)
    """Episodes in each of those, and of each task that is still to come, after each stage."""
    stochastic: bool = True
    """After each stage, also measure the tasks so far with sampled actions, over a third as many episodes."""
    seed: int = Field(1_000_000, ge=0, lt=2**31)
    """Of the start states, which are the same in every run that has the same seed here."""

    @property
    def zero_shot_episodes(self) -> int:
        """Episodes of a task that is still to come: what is not there yet needs no fine scale."""
        return min(self.episodes, self.curve_episodes)


class VideoSettings(FrozenSettings):
    """Which films a training makes."""

    enabled: bool = True
    """Record each task seen so far after each stage."""
    episodes: int = Field(1, ge=1, le=1_000)
    """Episodes in each film."""


class CheckpointSettings(FrozenSettings):
    """When a training is saved within a stage, to be resumed from."""

    seconds: SnapshotSeconds = 20.0
    """Seconds between two; 0 saves at every update."""
    steps: Annotated[Steps | None, NUMBER_WORDS[int]] = None
    """Control steps between two, not seconds; where worlds begin anew at each by default 50,000 (EnvPool 250,000)."""
    enabled: bool = True
    """Save within stages at all."""


class NetworkSettings(FrozenSettings):
    """The sizes of the networks."""

    widths: tuple[int, ...] = Field((64, 64), min_length=1, max_length=32)
    """Units in each hidden layer of actor and critic (of each column, in a progressive network)."""
    layer_norm: bool = False
    """Normalise each hidden layer before its tanh."""

    @field_validator("widths")
    @classmethod
    def _positive(cls, widths: tuple[int, ...]) -> tuple[int, ...]:
        if min(widths) < 1 or max(widths) > _UNITS:
            raise ValueError(f"widths {widths}; expected positive numbers of units, {_UNITS:,} at most")
        return widths


class TaskInferenceSettings(FrozenSettings):
    """Telling tasks apart by an episode's first observations, for acting without a label."""

    enabled: bool = True
    """Learn how each task looks at first, and keep it: 2.2 kB and 1,000 control steps a task."""


class RunConfig(FrozenSettings):
    """Train one agent through a curriculum."""

    curriculum: Annotated[Curriculum, CURRICULUM_WORD] = CURRICULA.ours["quick"]
    """A curriculum's name (`clrobot curricula`) or a YAML file."""
    method: str = "ewc"
    """The continual-learning method (`clrobot methods`), or a regulariser with a memory, such as ewc+replay."""
    algo: str = "ppo"
    """The algorithm that learns each task: ppo or sac."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of everything random in the run."""
    steps: Annotated[Steps | None, NUMBER_WORDS[int]] = None
    """Control steps in every stage, in place of the curriculum's own."""
    torch_threads: int = Field(1, ge=1, le=1_024)
    """Threads of torch; another number gives other bits."""
    threads: PhysicsThreads = 0
    """Threads of the physics; 0: all cores that the process may use. Any number gives the same bits."""
    env_processes: bool = False
    """Train each environment that is not clrobot's own in a process of its own: for slow ones. The same bits."""
    device: Device = "cpu"
    """Where the networks live: cpu, cuda, …"""
    memory_limit_mb: MemoryLimit = 4096
    """The most that a method may keep beside the policy, in MiB; checked before training."""
    tracker: Tracker = "none"
    """An experiment tracker to tell as well, if it is installed."""
    network: NetworkSettings = NetworkSettings()
    plasticity: PlasticitySettings = PlasticitySettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    gradient: GradientSettings = GradientSettings()
    task_inference: TaskInferenceSettings = TaskInferenceSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    video: VideoSettings = VideoSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()

    def on(self, machine: Machine) -> Self:
        """Return the settings as they hold on a machine; the run's own file stays as it is.

        Raises:
            UserError: one of the machine's would make it another run.
        """
        given = machine.model_dump(exclude_none=True, exclude={"films", "snapshot_seconds"})
        video, checkpoint = self.video, self.checkpoint
        if machine.films is not None:
            video = video.model_copy(update={"enabled": machine.films})
        if machine.snapshot_seconds is not None:
            if not self.curriculum.saves_state:
                raise UserError(
                    f"--snapshot-seconds {machine.snapshot_seconds:g}: this run's worlds begin anew at every "
                    f"snapshot, and one every {checkpoint.steps:,} steps is part of what it is; leave it out"
                )
            # Control steps between two would come before them.
            checkpoint = checkpoint.model_copy(update={"seconds": machine.snapshot_seconds, "steps": None})
        return self.model_copy(update=given | {"video": video, "checkpoint": checkpoint})

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
            if self.curriculum.heads == "one" and not _shares_its_network(part):
                raise ValueError(
                    f"{part.name} has a part of its network for each task, and heads: one leaves one for all; choose "
                    "a method that shares its network, such as ewc, or a curriculum with a head for each stage"
                )
        return self

    @model_validator(mode="after")
    def _no_absurd_number(self) -> Self:
        groups = {"plasticity", *METHODS_BY_NAME}
        for group in sorted(groups & self.__class__.model_fields.keys()):
            for name, value in getattr(self, group):
                if isinstance(value, int) and value > _OF_A_METHOD:
                    raise ValueError(f"{group}.{name} is {shown(value)}; expected {_OF_A_METHOD:,} at most")
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _resolve_steps(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Write `steps` into the curriculum's stages, where it then stands alone."""
        config = validate(data)
        if config.steps is None:
            return config
        return config.model_copy(update={"curriculum": config.curriculum.with_steps(config.steps), "steps": None})

    @model_validator(mode="before")
    @classmethod
    def _curriculum_s_defaults(cls, data: Any) -> Any:
        """Put the curriculum's defaults for its algorithms below what was given for them."""
        if not isinstance(data, Mapping) or "curriculum" not in data:
            return data
        curriculum = _curriculum_of(data["curriculum"])
        groups = {} if curriculum is None else curriculum.defaults
        below = {
            group: {**own, **given}
            for group, own in groups.items()
            if isinstance(given := data.get(group, {}), Mapping)
        }
        return {**data, **below}

    @field_serializer("curriculum")
    def _plain(self, curriculum: Curriculum) -> dict[str, Any]:
        return curriculum.model_dump(mode="json")


def _shares_its_network(method: type[Method]) -> bool:
    """Return whether a method's network is one trunk with a head for each task, and nothing more for any of them."""
    from clrobot.agents.networks.multi_head import MultiHeadNetwork

    return method.network_class() is MultiHeadNetwork


def _curriculum_of(given: Any) -> Curriculum | None:
    """Return the curriculum that was given, by whatever name; None where it will be refused."""
    try:
        if isinstance(given, str | Path):
            return load_curriculum(given)
        return given if isinstance(given, Curriculum) else Curriculum.model_validate(given)
    except (UserError, ValidationError):
        return None


def full_config_class() -> type[RunConfig]:
    """Return RunConfig with a group of settings for each algorithm and each method that has any: `--ewc.strength`.

    Raises:
        UserError: a user's method has the name of another setting.
    """
    return _config_class(tuple(METHODS_BY_NAME.values()))


@cache
def _config_class(methods: tuple[type[Method], ...]) -> type[RunConfig]:
    choices: tuple[Any, ...] = (*ALGORITHMS, *methods)
    for method in methods:
        if method.name in RunConfig.model_fields:
            source = METHODS_BY_NAME.source(method.name)
            raise UserError(f"method {method.name} of {source} has the name of a setting; give it another")
    groups: dict[str, Any] = {
        choice.name: (choice.Settings, choice.Settings()) for choice in choices if choice.Settings.model_fields
    }
    return create_model("RunConfig", __base__=RunConfig, __doc__=RunConfig.__doc__, **groups)


def make_algorithm(config: RunConfig) -> Algorithm:
    """Return the configured algorithm with its settings. Asked without torch."""
    chosen = algorithm_class(config.algo)
    return chosen(getattr(config, chosen.name, chosen.Settings()))


def start_of(config: RunConfig, slot: int) -> WarmStartSettings:
    """Return how a slot (from 0) begins: the settings, of which `usual` is what it comes to in that slot's stage.

    It goes by that stage and by what came before it alone: a run that is taken further begins its new slot as one
    that was planned so. Asked without torch.
    """
    start = config.warm_start
    if start.choose != "usual":
        return start
    warm = start.model_copy(update={"choose": "clear"})
    return warm if _begins_warm(config, slot, warm) else start.model_copy(update={"choose": "none"})


def _begins_warm(config: RunConfig, slot: int, warm: WarmStartSettings) -> bool:
    parts = method_classes(config.method)
    stage = config.curriculum.stages[slot]
    if slot == 0 or config.algo != "ppo" or config.curriculum.heads == "one" or not stage.tells_success:
        return False
    if not all(part.begins_warm(getattr(config, part.name, None)) for part in parts):
        return False
    trial = warm.cost(slot, race=0).trial
    return trial <= CHEAP * stage.steps and trial + make_algorithm(config).iteration <= stage.steps


def _as_it_begins(config: RunConfig) -> RunConfig:
    """Return the settings with what `usual` comes to, where that is the same in every stage."""
    every = range(1, len(config.curriculum.stages))
    found = {start_of(config, slot).choose for slot in every} or {start_of(config, 0).choose}
    if len(found) > 1:
        return config
    return config.model_copy(update={"warm_start": config.warm_start.model_copy(update={"choose": found.pop()})})


def settings_in_use(config: RunConfig) -> dict[str, Any]:
    """Return the settings in JSON's types that play a part in the run: no other method's, none of what is off."""
    config = _as_it_begins(config)
    used = {config.algo, *config.method.split("+")}
    choices = {*METHODS_BY_NAME, *(algorithm.name for algorithm in ALGORITHMS)}
    groups = {name: getattr(config, name, None) for name in (*used, "warm_start", "gradient")}
    idle: dict[str, Any] = {name: own.idle_with(config.algo) for name, own in groups.items() if own is not None}
    return config.model_dump(mode="json", exclude=idle | dict.fromkeys(choices - used, True))


def settings_to_keep(config: RunConfig) -> dict[str, Any]:
    """Return the settings that a file holds, in JSON's types: none of a user's method that the run does not use.

    So a run opens without the distributions that it does not need.
    """
    foreign = {name for name in METHODS_BY_NAME if name not in METHODS_BY_NAME.ours} - {*config.method.split("+")}
    return {name: value for name, value in config.model_dump(mode="json").items() if name not in foreign}


def make_config(**settings: Any) -> RunConfig:
    """Return a configuration from keyword arguments: `make_config(method="ewc", ewc={"strength": 10})`.

    Raises:
        UserError: a name or a value is not valid.
    """
    try:
        return full_config_class().model_validate(settings)
    except ValidationError as error:
        raise UserError(explain(error)) from error
