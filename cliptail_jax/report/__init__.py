"""Renders results: tables, Markdown, texts for terminals, pictures and the interactive page.

All tables are `layout.Table`. `run_tables`, `claim_tables` (verdicts) and `transfer_tables` build the tables that `study`
(report.md and report.json), `summary` (terminal) and `page` share; `findings` and `forest` are the page's verdicts. The other
modules are named after what they show. `claims` decides all verdicts, which are values here. This package must neither train
nor evaluate.
"""
