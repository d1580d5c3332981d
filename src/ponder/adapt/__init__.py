"""Test-time adaptation of classifiers: adapters that follow a stream of inputs, and streams to judge them by."""
