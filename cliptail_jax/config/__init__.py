"""Config fields with their defaults, descriptions and rules, the checks of whole configs, and command-line flags.

It must not know how a run is computed: fields of models, data and objectives are plain values here.
"""
