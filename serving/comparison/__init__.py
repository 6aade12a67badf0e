"""What two cascades say of the same slides: counts, places, categories, scores, and where they disagree."""
