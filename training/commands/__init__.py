"""One command a module: `add_parser(commands)` describes it, and sets what runs it as the parser's default `run`."""
