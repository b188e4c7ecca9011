"""Measures of a classifier, class by class: accuracy, correlations with class frequency, neural collapse.

They are functions of arrays, and know neither models nor data sets nor files.
"""

__all__ = ["bootstrap", "correlation", "groups", "imbalance", "neural_collapse", "per_class", "similarity"]
