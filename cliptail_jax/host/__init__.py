"""The machine that a program runs on: files, outputs, cores, memory, the compiler, signals; errors and texts for users.

This package must not import JAX, since some of its settings must be made before.
"""
