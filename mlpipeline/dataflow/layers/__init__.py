"""Layers: what can be done to arrays."""
