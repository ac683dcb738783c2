"""Networks with one head or one column for each slot."""
