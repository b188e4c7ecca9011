"""Image and text towers, and the models made of them, as Flax NNX modules whose parameter paths are the published ones.

`build` makes models from descriptions in open_clip's configuration format. This package knows nothing of data,
training, files of weights, or objectives.
"""
