"""From a variant to batches: decode, augment, tokenise, batch.

`pipeline` has the Grain pipelines; the other modules are their steps. This package does not depend on meshes,
training steps or objectives: `parallel` places its batches on devices.
"""
