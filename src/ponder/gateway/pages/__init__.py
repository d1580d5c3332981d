"""The page at `/`, and what it asks the gateway for below `/ponder/`."""
