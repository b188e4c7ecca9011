"""The machine that a program runs on: its usable cores, and the memory that it keeps.

It must not depend on JAX, which these settings precede.
"""
