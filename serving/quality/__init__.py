"""What of a slide cannot be relied on: ink, air bubbles, folds and blur, by classical rules; start at `judging.judge`."""
