"""What every other package speaks of: errors, geometry, detections, model cards and the report."""
