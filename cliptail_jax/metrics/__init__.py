"""Measures of a classifier, class by class: accuracy, correlations with class frequency, calibration, neural collapse.

These are functions of arrays. This package must not depend on models, data sets or files.
"""
