"""Labelled data: the store that all of training reads, the readers that fill it, and the samples drawn from it."""
