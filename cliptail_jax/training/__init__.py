"""The training state, the training step, the optimizer, and the initialization of parameters.

`objective` has the interface that every objective satisfies. This package knows no particular objective, and
opens no data.
"""
