"""Screening beside WSInfer, TIAToolbox and LazySlide: the same network, weights, slide, windows and cores, in one run."""
