"""The training state, the training step, the optimizer, and the initialization of parameters."""
