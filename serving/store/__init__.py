"""What is kept on disk: the database of everything accepted, and slides by their content."""
