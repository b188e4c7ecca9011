"""Images on the host: decoding, resizing, and encoding again.

They are functions of bytes and arrays, and know neither data sets nor models.
"""
