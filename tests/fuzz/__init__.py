"""Hostile input: what dmguard reads and does not control, mutated from what real machines said."""
