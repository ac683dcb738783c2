"""`python -m clrobot` is the command `clrobot`."""

from clrobot.cli import main

if __name__ == "__main__":
    main()
