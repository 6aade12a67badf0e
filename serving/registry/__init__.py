"""Which models there are, whether they may serve on this machine, and which of them do."""
