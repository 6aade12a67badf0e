"""The training program: one loop, its processes, its checkpoints and logs."""
