"""The run directory: its files, checkpoints and log, and stopping on request."""
