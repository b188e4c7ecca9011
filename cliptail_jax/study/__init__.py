"""Studies: sets of runs, the claims that are tested on them, and their report.

A study trains, evaluates and transfers by calling the main programs; it knows nothing of how they do that. What it reports
is read from the files of the run directories.
"""
