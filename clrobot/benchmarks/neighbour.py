"""A script that runs in another interpreter and answers questions: what clrobot is measured against lives there."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self

from clrobot.errors import UserError

_SECONDS_TO_LEAVE = 10.0


class Neighbour:
    """One process of a script that reads requests from its input and answers each with a line of JSON.

    It ends with the `with` statement, or when its input ends because this process did.
    """

    def __init__(self, flag: str, python: Path, script: Path, wanted: str) -> None:
        """Describe it; it starts with the `with` statement.

        Args:
            flag: of the command, for errors.
            python: the other interpreter.
            script: what it runs.
            wanted: the end of an error's sentence: what the interpreter should be able to do.
        """
        self._python, self._script = python, script
        self._flag, self._wanted = flag, wanted

    def __enter__(self) -> Self:
        self._errors: IO[str] = TemporaryFile("w+", encoding="utf-8", errors="replace")
        # -I: else the script's folder would come before the standard library.
        command = [str(self._python), "-I", "-W", "ignore", str(self._script)]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors, text=True)
        except OSError as error:
            self._errors.close()
            raise self._refused(str(error.strerror)) from error
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # it ended with a request unread
            process.stdin.close()
        try:
            process.wait(_SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._errors.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer to it.

        Raises:
            UserError: the process ended without an answer; the sentence has its last word.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise self._refused(self._last_words()) from error
        for line in process.stdout:
            try:
                answer = json.loads(line)
            except ValueError:  # what some library prints
                continue
            if isinstance(answer, dict):
                return answer
        raise self._refused(self._last_words())

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        return ([line for line in self._errors.read().splitlines() if line.strip()] or [f"exit code {code}"])[-1]

    def _refused(self, reason: str) -> UserError:
        return UserError(f"{self._flag} {self._python}: {reason}; {self._wanted}")
