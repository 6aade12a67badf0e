"""Attacks that a server must survive, one file each, on loopback and a fresh state: `make attack`."""
