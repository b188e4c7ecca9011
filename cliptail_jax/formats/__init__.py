"""Readers of files: tables and shards of texts, frequency tables, prepared data sets by name, encoded images.

This package must depend neither on class lists nor on configs.
"""
