"""Who may do what: API keys, bearer tokens of an identity provider, request rates, and the audit log."""
