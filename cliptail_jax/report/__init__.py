"""Renders results: tables, Markdown, texts for terminals, pictures and the interactive page.

They show runs, studies, predictions, plans and transfers, as `results` reads them; `claims` decides all verdicts, which
are values here. This package must neither train nor evaluate.
"""
