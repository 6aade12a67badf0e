"""The study of Ji et al.: its grid of trainings, tables, figures and verdicts."""
