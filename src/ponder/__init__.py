"""ponder: test-time compute, measured."""
