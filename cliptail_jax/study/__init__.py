"""Studies: which runs they have, where these train, and until when.

A study trains, evaluates and transfers by calling `jobs` and `transfer`, has `claims` judge the results, and `report` show
them.
"""
