"""Reads what runs have left: runs, their evaluations, groups of runs, directories, archives, and claims as a study states them."""
