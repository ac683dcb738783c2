"""Pure numbers: scores, the metrics' equations, statistics, and their names; no torch, no disk."""
