"""What opens slides, one registered class a kind of file; start at `reader.SlideReader`."""
