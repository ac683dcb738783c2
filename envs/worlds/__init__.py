"""The doors to the simulations: Gymnasium's environment and vector environment, and how they are made by name."""
