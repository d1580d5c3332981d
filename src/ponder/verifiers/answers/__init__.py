"""Answer types: how an answer is read from a text and when two answers are the same; one file per type."""
