"""Damaged slides against a running server: `make fuzz`."""
