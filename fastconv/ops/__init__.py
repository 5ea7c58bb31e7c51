"""The public operations: arrays in, arrays out; forward and gradient together."""
