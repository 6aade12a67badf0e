"""From a file of weights that others made to a version that serves: its contract, its graph, its sample and its card."""
