"""Studies: sets of runs, the claims tested on them, and their report."""
