"""Readers of published annotation formats: one file a format, each giving a `Dataset` and filling an `ImportReport`."""
