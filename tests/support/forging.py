"""Run folders changed by hand, by a stranger who makes the checksums agree again."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch as th
import yaml
from safetensors.torch import load_file, save_file

from clrobot.manifests import MANIFEST, checksum
from clrobot.runs.snapshot import _run_sums
from support.models import forge_manifest

Forgery = Callable[[Path], object]
Tensors = dict[str, th.Tensor]


# By name: of a folder's files ------------------------------------------------------------------------------


def tensors(name: str, change: Callable[[Tensors], object]) -> Forgery:
    """Change what one file of tensors holds."""

    def forge(folder: Path) -> None:
        held = load_file(folder / name)
        change(held)
        save_file(held, folder / name)

    return forge


def fields(name: str, **changes: Any) -> Forgery:
    """Change fields of one JSON file."""

    def forge(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changes))

    return forge


def lacking(name: str, field: str) -> Forgery:
    """Leave out a field of one JSON file."""

    def forge(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        del content[field]
        (folder / name).write_text(json.dumps(content))

    return forge


def without_one(held: Tensors) -> None:
    held.pop(sorted(held)[0])


def misshapen(held: Tensors) -> None:
    for name in held:
        held[name] = held[name].flatten()[:1].clone()


def doubles(held: Tensors) -> None:
    for name in held:
        held[name] = held[name].double()


def filled(value: float) -> Callable[[Tensors], None]:
    def change(held: Tensors) -> None:
        for tensor in held.values():
            tensor.fill_(value)

    return change


# At random -------------------------------------------------------------------------------------------------

NUMBERS: list[Any] = [0, 1, -1, 7, 2**31, 2**53, 2**63, 10**30, -(10**30), 10**400, 0.5, -0.0, 1e308, 3e38]
NUMBERS += [math.nan, math.inf, -math.inf]
OTHERS: list[Any] = [None, True, False, "", [], {}, [[]], {"a": 1}, [1, 2, 3], "1", "nan", "x" * 10_000]
TEXTS = [
    "[bold]a[/] [link=x]",
    "\x1b[2J\x1b]0;title\x07",
    "a\nb\r\x9b31m",
    "\u202ea\u2066",
    "<script>alert(1)</script>",
    "$\\frac{",
    "{{ 7 * 7 }}",
    "\ud800",
    "\0",
]
KINDS = [th.float64, th.float16, th.int64, th.bool, th.uint8, th.complex64]


class Forger:
    """Changes one thing or a few of a run's folder, as `rng` has it.

    Args:
        rng: of all choices.
        outside: a folder beside the run, to which paths and links lead.
    """

    def __init__(self, rng: random.Random, outside: Path) -> None:
        self.rng = rng
        self.outside = outside

    def forge(self, run: Path) -> set[str]:
        """Change a run's files, make the checksums agree, and return the names of what was changed."""
        changed = set()
        files = sorted(path for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts)
        for path in self.rng.sample(files, self.rng.choice([1, 1, 1, 2, 3])):
            changed.add(str(path.relative_to(run)))
            self._forge_file(path)
        self._agree(run, {run / name for name in changed})
        return changed

    def _forge_file(self, path: Path) -> None:
        if self.rng.random() < 0.12:
            self._replace(path)
        elif path.suffix == ".safetensors":
            self._forge_tensors(path)
        elif path.suffix == ".yaml":
            content = self._changed(yaml.safe_load(path.read_text(encoding="utf-8")))
            path.write_text(yaml.safe_dump(content, allow_unicode=self.rng.random() < 0.5), encoding="utf-8")
        elif path.suffix == ".jsonl":
            self._forge_lines(path)
        elif path.suffix == ".json":
            path.write_text(json.dumps(self._changed(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
        else:
            self._replace(path)

    # --- whole files

    def _replace(self, path: Path) -> None:
        """Put something else where a file was."""
        rng, old = self.rng, path.read_bytes()
        path.unlink()
        target = self.outside / rng.choice(["secret", "folder", "nowhere", "fifo"])
        ways: list[Callable[[], object]] = [
            lambda: None,
            lambda: path.write_bytes(b""),
            lambda: path.write_bytes(old[: rng.randrange(len(old) + 1)]),
            lambda: path.write_bytes(rng.randbytes(100)),
            lambda: path.write_bytes(b"[" * 5_000),
            lambda: path.write_bytes(old + old),
            lambda: path.symlink_to(target),
            lambda: path.symlink_to("/etc/passwd"),
            lambda: path.symlink_to(path.name),
            path.mkdir,
            lambda: os.mkfifo(path),
            lambda: (path.write_bytes(old), path.rename(path.with_name(rng.choice(["a\x1b[2J", "[b]", "stage_99"])))),
        ]
        rng.choice(ways)()

    def _forge_lines(self, path: Path) -> None:
        rng, lines = self.rng, path.read_bytes().splitlines()
        n = rng.randrange(len(lines))
        for _ in range(rng.choice([1, 1, 5])):
            way = rng.random()
            if way < 0.7:
                lines[n] = json.dumps(self._changed(json.loads(lines[n]))).encode()
            elif way < 0.8:
                lines[n:n] = [lines[rng.randrange(len(lines))]] * 3
            elif way < 0.9:
                del lines[rng.randrange(len(lines)) :]
            else:
                rng.shuffle(lines)
            if not lines:
                break
            n = rng.randrange(len(lines))
            if not lines[n].startswith(b"{") or not isinstance(json.loads(lines[n]), dict):
                break
        path.write_bytes(b"\n".join(lines) + b"\n")

    # --- documents

    def _value(self) -> Any:
        rng = self.rng
        paths = [str(self.outside / "secret"), "../../outside/secret", "/etc/passwd", "/dev/zero", ".."]
        return rng.choice(
            [rng.choice(NUMBERS), rng.choice(OTHERS), rng.choice(TEXTS), rng.choice(paths), self._deep()]
        )

    def _deep(self) -> Any:
        found: Any = 1
        for _ in range(self.rng.choice([3, 30, 300])):
            found = [found]
        return found

    def _changed(self, document: Any) -> Any:
        """Change one place of a document, however deep."""
        rng = self.rng
        places: list[tuple[Any, Any]] = []

        def walk(node: Any) -> None:
            items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            for key, inner in items:
                places.append((node, key))
                walk(inner)

        walk(document)
        if not places or rng.random() < 0.02:
            return self._value()
        # A field first, and then a place within it: else most places would be in the longest list.
        first = rng.choice([key for node, key in places if node is document])
        within = [(document, first)]
        if isinstance(document[first], dict | list) and rng.random() < 0.8:
            places.clear()
            walk(document[first])
            within += places
        node, key = rng.choice(within)
        way = rng.random()
        if way < 0.15:
            del node[key]
        elif way < 0.2 and isinstance(node, dict):
            node[rng.choice([*TEXTS, "more"])] = self._value()
        elif way < 0.25 and isinstance(node, list):
            node.append(node[key])
        elif way < 0.4 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = rng.choice([node[key] + 1, node[key] - 1, -node[key], float(node[key]), str(node[key])])
        else:
            node[key] = self._value()
        return document

    # --- tensors

    def _forge_tensors(self, path: Path) -> None:
        rng, held = self.rng, load_file(path)
        if not held:
            held["a"] = th.zeros(2)
        name = rng.choice(sorted(held))
        tensor = held[name]
        values = [3e38, -3e38, math.inf, math.nan, 1e20, 0.0, -1.0]
        ways: list[Callable[[], object]] = [
            lambda: held.pop(name),
            lambda: held.update({"more": tensor.clone()}),
            lambda: held.update({f"{name}\x1b[2J": held.pop(name)}),
            lambda: held.update({name: tensor.flatten()[:1].clone()}),
            lambda: held.update({name: th.zeros(0)}),
            lambda: held.update({name: tensor[None].clone()}),
            lambda: held.update({name: th.cat([tensor.flatten()] * 2)}),
            lambda: held.update({name: tensor.to(rng.choice(KINDS))}),
            lambda: held.update({name: th.full_like(tensor.float(), rng.choice(values))}),
            lambda: filled(rng.choice(values))({n: t for n, t in held.items() if t.is_floating_point()}),
            held.clear,
        ]  # fmt: skip
        rng.choice(ways)()
        save_file(held, path)

    # --- checksums

    def _agree(self, run: Path, changed: set[Path]) -> None:
        """Make every checksum agree with what the files hold now, but those that were changed themselves."""
        folders = sorted(path for path in run.rglob("*") if path.is_dir() and not path.is_symlink())
        for folder in [*folders, run]:
            if folder != run and self.rng.random() < 0.9:
                self._agree_with_run(run, folder)
            manifest = folder / MANIFEST
            if manifest not in changed and manifest.is_file() and not manifest.is_symlink():
                forge_manifest(folder)

    def _agree_with_run(self, run: Path, folder: Path) -> None:
        if not (run / "config.yaml").is_file():  # it is a pipe now
            return
        try:
            if (folder / "checkpoint.json").is_file():
                fields("checkpoint.json", config=checksum(run / "config.yaml"))(folder)
            if (folder / "run.json").is_file() and (folder / "progress.json").is_file():
                scores = json.loads((folder / "progress.json").read_text())["scores"]
                (folder / "run.json").write_text(json.dumps(_run_sums(run, scores)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return  # that is forged too


def copied(run: Path, to: Path) -> Path:
    """Copy a run's folder."""
    return Path(shutil.copytree(run, to))
