"""Faults that a server must survive, each with what was counted: `make faults`."""
