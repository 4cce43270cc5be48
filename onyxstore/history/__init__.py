"""What a run leaves: config snapshots, the metric log, checkpoints, commits, runs, retention. Imports disk and the ground."""
