"""What determines a training, as TOML files, and the programs that carry them out."""
