"""Slides that are opened and decoded in processes of their own, which may be killed and are replaced."""
