"""The Matplotlib style of all figures, and the plots that several programs share.

This package must depend neither on runs nor on configs: it draws arrays.
"""
