"""Transfer of image features to other data sets: linear probes, few-shot episodes, fine-tuning, and calibration.

This package must not depend on studies and figures. A model is its image features, or a name to start training from.
"""
