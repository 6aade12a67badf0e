"""The `mitoserve` command: one file a command, and what several of them share."""

from serving.cli.group import COMMANDS, main

__all__ = ["COMMANDS", "main"]
