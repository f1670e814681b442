"""Figures, measured on this machine in one run: `make bench`."""
