"""The simulations as Gymnasium's environment and vector environment, and how these are made by name."""
