"""Films in a page: relative links to the run's own files, or the films themselves."""

from __future__ import annotations

import base64
import os
import urllib.parse
from pathlib import Path
from typing import Literal, NamedTuple

from clrobot.errors import UserError
from clrobot.files import read_plain
from clrobot.runs.folder import stage_name

Videos = Literal["link", "embed"]
_MOST_BYTES = 2**28  # of an embedded film; a usual one has 100 kB


class Embedded(NamedTuple):
    """A film that is part of the page.

    Attributes:
        id: of its element.
        data: the film as a data URL.
    """

    id: str
    data: str


class Films:
    """Finds the films of runs for a page in `folder`, and keeps those that are to be part of it."""

    def __init__(self, folder: Path, videos: Videos) -> None:
        self.embedded: list[Embedded] = []
        self._folder = folder
        self._videos = videos

    def of_stage(self, run: Path, stage: int) -> dict[str, str]:
        """Return the address of each film of a stage by its file's name.

        A name is looked up among these, never joined to a path.

        Raises:
            UserError: a film that is to be embedded cannot be read.
        """
        films = sorted((run / "videos" / stage_name(stage)).glob("*.mp4"))
        return {path.name: self._address(path) for path in films if path.is_file() and not path.is_symlink()}

    def _address(self, path: Path) -> str:
        if self._videos == "embed":
            try:
                data = base64.b64encode(read_plain(path, _MOST_BYTES, follow=False)).decode()
            except OSError as error:
                raise UserError(f"{path} cannot be read ({error.strerror}); film it again, or link it") from error
            film = Embedded(f"film-{len(self.embedded) + 1}", f"data:video/mp4;base64,{data}")
            self.embedded.append(film)
            return f"#{film.id}"
        return address(path, self._folder)


def address(path: Path, folder: Path) -> str:
    """Return the address of a file for a page in `folder`."""
    relative = Path(os.path.relpath(path.resolve(), folder.resolve()))
    return "/".join(urllib.parse.quote(os.fsencode(part), safe="") for part in relative.parts)
