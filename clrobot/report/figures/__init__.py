"""Figures of a run and of several, by kind; all are drawn from matplotlib's own defaults, whatever the user's are."""

from clrobot.report.figures.defaults import import_matplotlib

import_matplotlib()  # before any module here, each of which imports parts of it
