"""Planning: how hard a question is, and what to spend on it."""
