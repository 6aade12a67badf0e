"""Trunks: nets that give feature maps, each registered by a name that recipes state."""
