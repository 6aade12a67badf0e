"""The shared vocabulary: slides, geometry, detections, model cards and errors."""
