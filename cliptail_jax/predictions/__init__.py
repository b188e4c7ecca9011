"""Predictions of any model: reading their files, their measures and differences, and post-hoc logit adjustment.

This package must depend neither on JAX nor on models: it reads predictions that any program has written.
"""
