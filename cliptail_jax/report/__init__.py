"""Shows: all tables, Markdown, texts for terminals, pictures and the interactive page.

It renders runs, studies, predictions, plans and transfers from what `results` has read and `claims` has judged. This package
must neither train nor evaluate nor decide a verdict.
"""
