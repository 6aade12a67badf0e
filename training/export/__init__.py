"""From trained weights to the versioned folders that serving reads."""
