"""The command line for people who hold or manage keys. Talks to a zerogate over HTTP and imports none of the server."""
