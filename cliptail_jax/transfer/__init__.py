"""Transfer of image features to other data sets: linear probes, few-shot episodes, fine-tuning, and calibration.

This package must not depend on studies and figures. It uses a model's image features, or starts training from its weights.
"""
