"""Devices, meshes, shardings, and the processes of a run.

This package must not depend on models, data or objectives.
"""
