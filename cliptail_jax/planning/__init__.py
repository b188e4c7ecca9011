"""Plans runs on accelerators that this machine lacks, by compiling a run's step for them ahead of time."""
