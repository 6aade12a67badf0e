"""What people say of an analysis: overlays on a result that never changes."""
