"""Task families: prompts generated without limit from a seed, with their references kept apart."""
