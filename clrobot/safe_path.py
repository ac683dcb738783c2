"""The command imports nothing that lies in the current folder, where somebody else's `yaml.py` may be.

`python -m clrobot` puts the current folder first on the path, and an empty entry of PYTHONPATH (as in
`export PYTHONPATH=$PYTHONPATH:/opt/mine`, where there was none) stands for it too. This module is the first that the
package imports and imports only what Python has loaded by then. A folder `clrobot/` in the current one is what Python
itself takes for this package under `-m`, before any line here is read: the installed command `clrobot` does not, and
`python -P -m clrobot` does not.
"""

import os
import sys


def is_command() -> bool:
    """Return whether this process was started as `clrobot` or `python -m clrobot`, not as a user's own program."""
    first = sys.argv[0] if sys.argv else ""
    if first == "-m":  # until the module has been found
        pairs = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
        return any((a, b.partition(".")[0]) == ("-m", "clrobot") for a, b in pairs)
    return os.path.basename(first) in ("clrobot", "clrobot.exe")


def drop_current_folder() -> None:
    """Take the current folder off the path, unless PYTHONPATH names it in full."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        here = ""
    if here in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        here = ""
    sys.path[:] = [entry for entry in sys.path if entry and entry != here]


def safe_environment() -> dict[str, str]:
    """Return the environment for a child that is this command: it imports nothing from the current folder."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(paths)}
    if not paths:
        del environment["PYTHONPATH"]  # set and empty it would stand for the current folder
    return environment


if is_command():
    drop_current_folder()
