"""Makes LAIONet: the rows of a caption corpus that name one ImageNet class, match its definition, and are safe.

The stages `match`, `similarity` and `select` map tables to tables; `retrieve` searches the corpus for given captions.
`cliptail laion` runs them on parquet files, in processes or on Beam.
"""
