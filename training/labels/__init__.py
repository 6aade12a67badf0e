"""Labels: from raters' records to boxes with agreement, and from boxes to the targets of a sub-tile."""
