"""Many slides over a cluster: start reading at `cohort.score_cohort`."""
