"""The composition root: settings, wiring, and the commands that start the product."""
