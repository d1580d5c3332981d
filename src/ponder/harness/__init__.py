"""Ponder under other people's evaluation harnesses: providers that answer with a method on a model."""
