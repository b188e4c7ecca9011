"""Studies: sets of runs, claims tested on them, and their report.

A study trains, evaluates and transfers by calling the main programs, and reads the results from the files of run
directories. It must not depend on how the programs work.
"""
