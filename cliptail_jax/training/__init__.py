"""The training state, the training step, the optimizer, and the initialization of parameters.

`objective` has the interface of objectives. This package must not depend on a particular objective, and opens no data.
"""
