"""Runs studies: which runs they have, where these train, and when a study has enough of them.

`jobs` trains and evaluates the runs, `transfer` measures their features, `claims` judges the results, and `report` shows them.
"""
