"""The Matplotlib style of all figures, and the plots that several programs share.

It knows neither runs nor configs: it draws the arrays that it is given.
"""
