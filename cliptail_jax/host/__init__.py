"""The machine that a program runs on: its usable cores, the memory that it keeps, and whether it has TPUs.

It must not depend on JAX, which these settings precede.
"""
