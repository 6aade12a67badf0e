"""Analyses as durable jobs: accepted once, run once, resumed after any process died, their results immutable."""
