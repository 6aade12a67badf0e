"""Audit: experts look at a random sample of labelled tiles, confirm or reject each box and add what is missing."""
