"""Back-ends: everything that can answer a prompt."""
