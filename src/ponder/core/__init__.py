"""Contracts that every room shares: tasks, models, budgets, traces, registries."""
