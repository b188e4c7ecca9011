"""Prepared TFDS data sets in ArrayRecord: what is known of each, building and reading them, without TensorFlow.

`known_sources` has an entry per data source, `open_source` opens one, and `python -m cliptail_jax.datasets.build` builds
those that TFDS lacks. It knows neither training configs nor models: a source is every image once, with its text fields.
"""
