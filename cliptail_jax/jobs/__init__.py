"""What the main programs do with a config: train a run, evaluate a run, predict images. Each is read from top to bottom.

A study, a transfer and a notebook call the same functions.
"""
