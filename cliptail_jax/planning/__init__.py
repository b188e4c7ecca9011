"""Plans runs on accelerators that need not be there: a run's step is compiled for them ahead of time."""
