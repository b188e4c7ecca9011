"""The work of the main programs: training a run, evaluating a run, and predicting the classes of images.

Each module reads from top to bottom. Programs, studies and notebooks call the same functions.
"""
