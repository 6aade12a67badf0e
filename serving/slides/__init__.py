"""Slides: the formats that they come in, their files and ids, and reads from them at any scale."""
