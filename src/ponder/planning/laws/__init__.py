"""Laws fitted to recorded runs: how accuracy and cost grow with compute."""
