"""One program a tool, each run by the Python of that tool's own environment: only `job` and `network` are shared."""
