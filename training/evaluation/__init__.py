"""What is measured of scores and detections, with how sure it is, and the page that shows it."""
