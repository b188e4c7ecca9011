"""Reads the files of runs: runs, their evaluations, groups of runs, and directories of them; builds the tables of results."""
