"""Makes batches from a variant: decodes, augments and tokenizes.

`pipeline` has the Grain pipelines; the other modules are their steps. This package must not depend on meshes, training
steps or objectives: `parallel` places its batches on devices.
"""
