"""Transfer of image features to other data sets: linear probes, few-shot episodes, fine-tuning, and calibration.

It must not know about studies and figures. A model is its image features, or a name that training can start from.
"""
