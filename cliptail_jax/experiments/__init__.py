"""The common parts of the package's configs: arguments, data presets, recipes, claims, and the paper's runs."""
