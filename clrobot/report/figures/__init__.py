"""The figures, by kind; each is drawn for a page and for print."""
