"""The work of the main programs: training, evaluating runs and published models, predicting the classes of images,
planning, writing pages, loading results.

Each module reads from top to bottom. Programs, studies and notebooks call the same functions.
"""
