"""The HTTP app: slides in, reports and maps out, every error a problem+json document."""
