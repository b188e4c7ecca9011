"""Judges the results of a study: tests its claims, once or after each pair, and chooses its best run.

`verdicts` decides verdicts. This package must render nothing: it returns numbers and verdicts.
"""
