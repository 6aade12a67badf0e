"""Training of the models that Mitoserve serves; depends on serving, never the other way round."""
