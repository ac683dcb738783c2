"""`python -m clrobot` is the command `clrobot`; the package has taken the current folder off the path by now."""

from clrobot.cli import main

if __name__ == "__main__":
    main()
