"""A format of its own for Mitoserve."""
