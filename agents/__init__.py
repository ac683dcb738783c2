"""Learning: policies, algorithms and continual-learning methods.

Knows torch and Stable-Baselines3; sees spaces, batches and a task index, never a task class.
"""

if __name__ != "clrobot.agents":
    raise ImportError(
        f"imported as {__name__!r}: this folder is the package clrobot.agents; write `import clrobot.agents`"
    )
