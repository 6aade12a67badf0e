"""Labelled pictures: the store that names them, the readers of published formats that fill it, and pictures on disk."""
