"""Variants: the records, captions and classes that a config selects from a source.

`make_variant(source, config.data)` computes one from the source's metadata; nothing is copied. It knows neither models nor
objectives, only the `data` section of a config. `python -m cliptail_jax.curation.describe` shows a variant, and
`curation.laion` makes the source LAIONet.
"""
