"""The interactive page report.html of a run, a study or a set of runs, written from their files alone.

It knows what programs write, and neither trains nor evaluates nor tests claims. Images are read from data sets, if these
are there.
"""
