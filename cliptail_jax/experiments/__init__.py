"""What the package's configs have in common: their arguments, data presets, recipes, claims, and the runs of the paper."""
