"""The work of the main programs: training a run, evaluating a run, and predicting the classes of images.

Each is read from top to bottom. Studies, transfers and notebooks call the same functions.
"""
