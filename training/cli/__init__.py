"""The command line: one command a module, whose `add_parser(commands)` describes it and states what runs it."""
