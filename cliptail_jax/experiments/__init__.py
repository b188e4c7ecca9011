"""The common parts of configs: arguments, data presets, recipes, claims, and the paper's runs."""
