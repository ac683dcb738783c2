"""The report: a page of one run or of several, that opens from the disk and loads nothing but the runs' own films."""
