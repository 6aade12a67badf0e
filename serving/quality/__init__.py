"""What of a slide cannot be relied on: ink, air bubbles, folds and blur, by classical rules; start at `quality_mask.find_quality_mask`."""
