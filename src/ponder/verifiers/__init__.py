"""Verifiers: answer equality, checkers compiled from the prompt, arithmetic without gold, an LLM judge."""
