"""Whether recent slides look, and are scored, like those that a release was meant for."""
