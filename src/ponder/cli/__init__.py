"""The command line: `ponder solve`, `methods`, `models`, `doctor`, `demo`."""
