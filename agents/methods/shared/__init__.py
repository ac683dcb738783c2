"""What methods are made of: their verbs, the seam to the algorithm, memories, penalties and losses."""
