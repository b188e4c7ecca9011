"""Plans runs on accelerators, without having them: compiles a run's step for them ahead of time."""
