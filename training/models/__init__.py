"""Reg-NS and Det as torch modules."""
