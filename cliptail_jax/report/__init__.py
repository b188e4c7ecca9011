"""The interactive page report.html of a run, a study or a set of runs, written from their files alone.

This package must neither train nor evaluate nor test claims. Images are read from data sets, if these exist.
"""
