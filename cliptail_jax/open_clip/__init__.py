"""The command line of open_clip's training: flags become a config of ours, data sets to prepare, and a work directory.

`flags.tsv` is the table of flags. This package must not depend on studies.
"""
