"""Judges: tests the claims of a study, decides their verdicts, when enough pairs have run, and which run is the best.

A verdict is decided in `verdicts`. This package must not render anything: it returns numbers and verdicts.
"""
