"""Many runs from one description: a study, from its file to its driver, and how far it has come."""
