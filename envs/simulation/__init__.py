"""The batched simulation, what a task gives to it, what the agent sees, and what can differ in its world."""
