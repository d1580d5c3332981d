"""The OpenAI-compatible gateway: endpoints, keys, accounts, queues, traces."""
