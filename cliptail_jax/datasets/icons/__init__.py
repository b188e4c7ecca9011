"""Iconify's collection of open icon sets as images with captions."""
