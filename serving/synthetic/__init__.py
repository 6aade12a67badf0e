"""Generated H&E-like tissue with known mitotic figures, for the demo, the tests and training. No real pixel is in it."""
