"""Prepared TFDS data sets in ArrayRecord: building and reading them, without TensorFlow."""
