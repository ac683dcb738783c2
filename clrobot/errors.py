"""Errors that the person at the keyboard can mend."""


class UserError(Exception):
    """A mistake in what the user gave: the message names the bad value and what was expected."""


class TrainingStopped(Exception):
    """A training was stopped from outside; the message says how it goes on."""
