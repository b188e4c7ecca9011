"""A laboratory for the question why CLIP is robust to long-tailed pre-training data."""
