"""The command line: one file a command, whose name is the file's, and whose `command` is what Click runs."""
