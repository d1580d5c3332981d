"""The page that the gateway serves: its files, as they are sent."""
