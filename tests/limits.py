"""How long a test waits: long enough for a busy machine, short enough that a test which would wait for ever ends."""

LONGEST_S = 600.0
