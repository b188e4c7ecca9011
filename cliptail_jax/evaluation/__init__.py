"""Evaluation of models: sets, prompts, class heads, one pass over a set, and its numbers and files.

Models come from `cliptail_jax.pretrained` or from the training loop. This package must not depend on training, on the
main programs or on studies.
"""
