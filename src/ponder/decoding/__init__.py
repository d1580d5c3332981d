"""Decoding with the same weights: what steers or speeds up a transformers model from inside."""
