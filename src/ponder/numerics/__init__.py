"""Pure maths in plain Python: values in, values out; no clock, no model, no global state."""
