"""Runs studies: decides which runs train, where, and when a study has enough of them.

`jobs` trains and evaluates the runs, `transfer` measures their features, `claims` judges the results, and `report` shows them.
"""
