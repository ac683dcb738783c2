"""What a run is on the disk: its folder, checkpoints, snapshots, scores and metrics."""
