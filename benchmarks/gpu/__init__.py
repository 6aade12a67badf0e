"""What a GPU makes of the cascade: models alone, reading alone, and whole slides; `python -m benchmarks.gpu`."""
