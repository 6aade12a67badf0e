"""How fast whole slides are scored, against what reading alone and the models alone take in the same run."""
