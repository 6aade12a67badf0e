"""The study of Ji et al. on any data set: its sub-tiles, sampling, seven models, recipes, grid and tables."""
