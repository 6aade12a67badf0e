"""From a slide to its report; start reading at `pipeline.score_slide`."""
