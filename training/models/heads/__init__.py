"""Heads on the sub-tile models' trunks, each registered by a name that recipes state."""
