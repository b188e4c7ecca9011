"""Evaluation of models: sets, prompts, class heads, one pass over a set, and its numbers and files.

Models are opened by `cliptail_jax.pretrained` or passed by the training loop. Nothing here depends on how they are
trained, on the main programs or on studies.
"""
