"""The core: what a call is, how it can end, and the one use case. Imports nothing else of ours."""
