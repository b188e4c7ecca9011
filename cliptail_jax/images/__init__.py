"""Decodes, resizes and re-encodes images on the host.

These are functions of bytes and arrays. This package must depend neither on data sets nor on models.
"""
