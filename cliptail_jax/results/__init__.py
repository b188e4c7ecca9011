"""Reads the results of runs: their evaluations, groups of runs, studies with their claims, directories and archives.

This package must not test claims, and it must not depend on the programs that wrote the files.
"""
