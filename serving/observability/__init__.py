"""What goes on, for those who run the server: logs and traces. Metrics are in `serving.api.metrics`."""
