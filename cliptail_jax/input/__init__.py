"""From a variant to batches: decode, augment, tokenise, batch.

`pipeline` holds the Grain pipelines; the other modules are their steps. This package knows nothing of meshes,
training steps or objectives: `parallel` places its batches on devices.
"""
