"""The report: a page of one run or of several, that opens from the disk and loads nothing but the runs' own films."""

from clrobot.report.figures import write_all_figures
from clrobot.report.page import write_comparison, write_report

__all__ = ["write_all_figures", "write_comparison", "write_report"]
