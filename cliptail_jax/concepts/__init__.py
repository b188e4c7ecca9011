"""How often does each concept occur in a caption corpus? Vocabularies, WordNet, caption files, counting, templates.

It knows neither data sets nor models: a corpus is files of captions, and a class is a name with the phrases that captions
use for it. `ConceptCounter(load_vocabulary("imagenet1k")).count(captions)` counts in memory, `concepts.count` is the
command line, and `concepts.beam` runs on a cluster. Modules are imported by name, as NLTK and pyarrow load slowly.
"""
