"""Many runs from one description."""
