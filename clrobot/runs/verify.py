"""Whether this machine is the world that a run was made in: its fingerprint against one that is taken now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import ValidationError

from clrobot.envs.tasks import TASKS_BY_ID
from clrobot.errors import UserError, cut, explain, shown
from clrobot.published.provenance import makings
from clrobot.runs.environment import versions
from clrobot.runs.fingerprint import FORMAT, Fingerprint, Probe, fingerprint, is_close
from clrobot.runs.folder import RunFolder

Agreement = Literal["the same bits", "other rounding", "another world"]

EXIT_CODES: Final[dict[Agreement, int]] = {"the same bits": 0, "other rounding": 3, "another world": 4}
_MOST_VERSIONS = 50


@dataclass(frozen=True)
class Verdict:
    """What a run and this machine have in common.

    Attributes:
        physics: of the simulations.
        learning: of an update.
        moved: versions that differ, by package: then and now.
        features: of the processor, that differ: those of then alone, and those of now alone.
        unseen: the run's tasks that are not clrobot's own, others' worlds and a user's: neither probe tells of them.
        environments: in how many the run was trained. All else is of the one that is furthest from this.
    """

    physics: Agreement
    learning: Agreement
    moved: dict[str, tuple[str, str]]
    features: tuple[tuple[str, ...], tuple[str, ...]]
    unseen: tuple[str, ...]
    environments: int = 1

    @property
    def agreement(self) -> Agreement:
        """The lesser of both."""
        return max(self.physics, self.learning, key=lambda found: EXIT_CODES[found])


def verify(run: RunFolder) -> Verdict:
    """Compare the world that a run was made in with this one; of several, the one that is furthest from it.

    Raises:
        UserError: the run has no fingerprint, or its `environment.json` is damaged.
    """
    made = makings(run.read_environment())
    verdicts = [_verdict(run, noted) for noted in made]
    furthest = max(verdicts, key=lambda found: (EXIT_CODES[found.agreement], len(found.moved)))
    return replace(furthest, environments=len(made))


def _verdict(run: RunFolder, noted: Mapping[str, Any]) -> Verdict:
    """Compare one environment in which a run was trained with this one."""
    path = run.path / "environment.json"
    if "fingerprint" not in noted:
        raise UserError(f"{path} has no fingerprint: an older clrobot made this run; compare its versions by hand")
    try:
        then = Fingerprint.model_validate(noted["fingerprint"])
    except ValidationError as error:
        raise UserError(f"{path}: `fingerprint` is damaged ({explain(error)}); restore the file") from None
    if then.format != FORMAT:
        raise UserError(
            f"{path} has a fingerprint of format {then.format}, and this clrobot takes format {FORMAT}; "
            "verify it with the version that made it"
        )
    if then.threads != run.config.torch_threads:
        raise UserError(f"{path} tells of {then.threads} threads and the run's settings of others; restore the file")
    now = fingerprint(then.threads)
    return Verdict(
        physics=_agree("physics", then.physics, now.physics),
        learning=_agree("learning", then.learning, now.learning),
        moved=_moved(noted.get("versions"), versions()),
        features=(_only(then.features, now.features), _only(now.features, then.features)),
        unseen=tuple(dict.fromkeys(s.task for s in run.config.curriculum.stages if s.task not in TASKS_BY_ID.ours)),
    )


def _agree(kind: Literal["physics", "learning"], then: Probe, now: Probe) -> Agreement:
    if then.sha256 == now.sha256:
        return "the same bits"
    return "other rounding" if is_close(kind, then, now) else "another world"


def _moved(then: Any, now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return what differs of the versions that a run's file tells, whatever stands in it."""
    told = then if isinstance(then, dict) else {}
    names = [*now, *(name for name in list(told)[:_MOST_VERSIONS] if name not in now)]
    both = {cut(name, 40): (_text(told.get(name, "unknown")), now.get(name, "not compared")) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _text(value: Any) -> str:
    return cut(value, 40) if isinstance(value, str) else shown(value)


def _only(these: tuple[str, ...], those: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cut(word, 40) for word in these if word not in those)
