"""Measures of a classifier, class by class: accuracy, correlations with class frequency, calibration, neural collapse.

They are functions of arrays, and know neither models nor data sets nor files.
"""
