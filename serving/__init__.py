"""HTTP app, scoring pipeline and exports of Mitoserve; knows nothing of training or torch."""

__version__ = "0.1.0"
"""Stated here, so that a Bento knows it too, where the package is not installed."""
