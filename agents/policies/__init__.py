"""Stable-Baselines3 policies around the networks, and telling slots apart without a label."""
