"""Counts how often each concept occurs in a caption corpus: class lists, WordNet, caption files, counting, templates.

`ConceptCounter(load_class_list("imagenet1k")).count(captions)` counts in memory, `cliptail count` counts files,
and `cliptail count_on_beam` runs on a cluster. This package must depend neither on data sets nor on models: a corpus is files of
captions, and a class is a name with the phrases that captions use for it. Import modules by name, because NLTK and
pyarrow load slowly.
"""
