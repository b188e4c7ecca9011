"""Devices, meshes, shardings, and the processes of a run.

This package knows nothing of models, data or objectives.
"""

__all__ = ["devices", "distributed", "host_memory", "sharding"]
