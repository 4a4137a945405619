"""Layers by family: arrays in, arrays out, with their gradients. Each file ends with its rows of the op table."""
