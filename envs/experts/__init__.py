"""What experts are made of, and how one is driven through episodes; each stands beside its task in `envs/tasks/`."""
