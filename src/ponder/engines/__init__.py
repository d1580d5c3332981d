"""Loops that several methods share: one driver each."""
