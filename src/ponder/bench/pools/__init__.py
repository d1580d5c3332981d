"""Recorded pools: sample once, then study every way to choose among the samples for nothing."""
