"""A Python with a stand-in for EnvPool, as a path that `clrobot bench --envpool` takes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from shlex import quote

import pytest

STAND_IN = Path(__file__).parent.parent / "support" / "stand_in" / "envpool.py"


@pytest.fixture
def envpool_python(tmp_path: Path) -> Path:
    """An interpreter, as far as the scripts can tell, that has the stand-in installed."""
    site, path = tmp_path / "site", tmp_path / "python"
    site.mkdir()
    shutil.copy(STAND_IN, site)
    (tmp_path / "python.py").write_text(
        f"import runpy, sys\nsys.path.insert(0, {str(site)!r})\n"
        "assert sys.argv[1:4] == ['-I', '-W', 'ignore']\nrunpy.run_path(sys.argv[4], run_name='__main__')\n"
    )
    # By a shell, since a path with a space cannot stand behind `#!`.
    path.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} {quote(str(tmp_path / "python.py"))} "$@"\n')
    path.chmod(0o755)
    return path
