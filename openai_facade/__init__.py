"""The OpenAI-compatible HTTP surface: bytes in, the gateway's answer in OpenAI's wire format out."""
