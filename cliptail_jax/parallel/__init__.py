"""Devices, meshes, shardings, and the processes of a run.

This package knows nothing of models, data or objectives.
"""
