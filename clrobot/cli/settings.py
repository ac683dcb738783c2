"""The verb `train`, whose flags are the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import tyro
from tyro.constructors import StructConstructorSpec, StructFieldSpec, StructTypeInfo

from clrobot.agents.settings import FrozenSettings
from clrobot.cli.common import open_console
from clrobot.cli.train import summarise, train_run
from clrobot.experiment.config import RunConfig, full_config_class, make_config
from clrobot.experiment.config_file import read_config
from clrobot.experiment.words import COMMAND_LINE, NUMBER_WORDS
from clrobot.experiment.yaml_file import load_curriculum


@COMMAND_LINE.struct_rule
def _settings_from_words(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Let tyro only assemble settings; RunConfig validates the whole at once and names a bad value's full path."""
    if not (isinstance(info.type, type) and issubclass(info.type, FrozenSettings)):
        return None
    inner = info.default if isinstance(info.default, FrozenSettings) else info.type.model_construct()
    hints, plain = get_type_hints(info.type, include_extras=True), get_type_hints(info.type)

    def type_of(name: str) -> Any:
        word = NUMBER_WORDS.get(plain[name])
        return hints[name] if word is None else Annotated[hints[name], word]

    fields = tuple(
        StructFieldSpec(name, type_of(name), getattr(inner, name), field.description)
        for name, field in info.type.model_fields.items()
    )

    def assemble(**values: Any) -> Any:
        return info.type.model_construct(**values)

    assemble.__doc__ = info.type.__doc__  # the group's help text
    return StructConstructorSpec(make_config if issubclass(info.type, RunConfig) else assemble, fields)


def train_verb(words: Sequence[str]) -> tuple[Callable[..., None], list[str]]:
    """Return the verb `train`, whose flags are the settings and whose defaults come from `--config`, and its words.

    A curriculum's defaults stand below the file's settings and the flags, and the file's `steps` are those of each
    stage: `--curriculum` is read with the file, and not among the words any more.
    """
    words = list(words)
    file = _value_of("--config", words)
    word = _value_of("--curriculum", words)
    curriculum = None if word is None else load_curriculum(word)
    if file is not None:
        default = read_config(Path(file), curriculum)
        words = words if word is None else _without("--curriculum", words)
    elif curriculum is not None and curriculum.defaults:
        default = make_config(curriculum=curriculum)
    else:
        default = full_config_class()()

    def train(settings: Any = default, out: Path | None = None, config: Path | None = None) -> None:
        """Train one agent through a curriculum, into a new run folder.

        After every stage all skills are measured, and those so far are filmed.

        Args:
            settings: every setting.
            out: the new run's folder; by default runs/CURRICULUM-METHOD-SEED.
            config: read the settings from this YAML file (such as a run's config.yaml); flags override it.
        """
        name = f"{settings.curriculum.name}-{settings.method}-{settings.seed}"
        console = open_console()
        run = train_run(settings, out or Path("runs") / name, console)
        summarise(run, console)

    train.__annotations__["settings"] = Annotated[full_config_class(), tyro.conf.arg(name="")]
    return train, words


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    """Return what the words give a flag, the last time that they name it, as with every other flag."""
    found = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word.startswith(f"{flag}="):
            found = word.removeprefix(f"{flag}=")
        elif word == flag:
            found = following
    return found


def _without(flag: str, words: Sequence[str]) -> list[str]:
    """Return the words without a flag and its values."""
    left, before = [], None
    for word in words:
        if word != flag and not word.startswith(f"{flag}=") and before != flag:
            left.append(word)
        before = word
    return left
