"""The machine that a program runs on: files, outputs, cores, memory, the compiler, signals; errors and texts for users.

It must not depend on JAX, which these settings precede.
"""
