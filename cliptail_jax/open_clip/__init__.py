"""Translates the command line of open_clip's training to a config, the data sets that it needs, and a work directory.

`flags.tsv` is the table of flags. This package must not depend on studies.
"""
