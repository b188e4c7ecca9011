"""Image and text towers and models as Flax NNX modules, with the parameter paths of published models.

`build` makes models from descriptions in open_clip's configuration format. This package must not depend on data,
training, files of weights, or objectives.
"""
