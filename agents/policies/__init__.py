"""Stable-Baselines3 policies around the networks, and task inference: telling slots apart without a label."""
