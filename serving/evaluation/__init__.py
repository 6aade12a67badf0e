"""What is measured of detections against labels, with how sure it is."""
