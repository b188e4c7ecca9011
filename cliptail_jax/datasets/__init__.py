"""Builds and reads prepared TFDS data sets in ArrayRecord files, without TensorFlow.

`known_sources` has an entry per data source, `open_source` opens one, and `cliptail build` builds
those that TFDS lacks. This package must depend neither on training configs nor on models: a source is every image once,
with its text fields.
"""
