"""Pure maths of test-time compute: values in, values out; no clock, no model, no I/O."""
