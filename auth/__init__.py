"""API keys: their format, their records in Cognito, the cached check, and the guard in front of every surface."""
