"""Runs of methods over tasks as rows, and what is read from them: curves, tables, reports, the demo."""
