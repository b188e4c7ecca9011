"""What several figures share: their sheets, axes along which runs are placed, and choices of classes.

It knows no figure.
"""
