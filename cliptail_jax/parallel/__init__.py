"""Devices, meshes, shardings, and the processes of a run."""
