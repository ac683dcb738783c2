"""How fast the simulations and the learners are, and how soon tasks are learned."""
