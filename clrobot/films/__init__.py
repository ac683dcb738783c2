"""Films of what agents do: rollouts, captions, encoding, and a sheet of all tasks."""
