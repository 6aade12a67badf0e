"""What a model may be in a release, one registered class a file; start at `role.ModelRole`."""
