"""What starts a run's process, `clrobot train|resume FOLDER`, and waits for its end: here, or on a cluster."""
