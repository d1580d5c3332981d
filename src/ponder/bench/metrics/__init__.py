"""Metrics of recorded runs, one file each."""
