"""Loopback servers that speak the providers' real wire formats, scripted by the tests."""

from tests.upstreams.scenario import Scenario
from tests.upstreams.server import Seen, Upstream

__all__ = ["Scenario", "Seen", "Upstream"]
