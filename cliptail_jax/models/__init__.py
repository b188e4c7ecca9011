"""Image and text encoders as Flax NNX modules; attribute paths mirror the published state dicts."""
