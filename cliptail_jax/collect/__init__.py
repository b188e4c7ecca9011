"""Which images to collect for a model: `cliptail collect`, from its numbers of right examples by class.

`collection` is a function of these numbers, wherever they come from. This package must neither train nor evaluate.
"""
