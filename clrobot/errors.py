"""Errors that the person at the keyboard can mend."""


class UserError(Exception):
    """A mistake in what the user gave: the message names the bad value and what was expected."""
