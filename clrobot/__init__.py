"""Continual learning for one robot arm: train a sequence of skills, and see what it kept."""
