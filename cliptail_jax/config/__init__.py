"""Config fields with their defaults, descriptions and rules, checks of whole configs, and command-line flags.

This package must not depend on how a run is computed: fields of models, data and objectives are plain values here.
"""
