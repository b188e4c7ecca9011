"""The shared parts of figures: sheets, axes along which runs are placed, and choices of classes.

This package must not depend on any figure.
"""
