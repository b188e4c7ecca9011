"""Variants: which records, which words."""
