"""Renders results: tables, Markdown, texts for terminals, pictures and the interactive page.

They show runs, studies, predictions, plans and transfers, as `results` has read and `claims` has judged them. This package
must neither train nor evaluate nor decide a verdict.
"""
