"""What goes on, for those who run the server: logs, metrics and traces."""
