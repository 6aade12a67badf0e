"""Tiles for annotation: cut from whole slides, ranked by a model, chosen by the paper's rules."""
