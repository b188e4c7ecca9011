"""Variants: the records, captions and classes that a config selects from a source.

`make_variant(source, data)` computes a variant from the source's metadata, without copying. `cliptail describe` shows a
variant, and `laion` makes the source LAIONet. This package must not depend on models and objectives, only on the section
`Data` of a config.
"""
