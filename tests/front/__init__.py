"""A local stand-in for API Gateway and Lambda: HTTP in, Runtime API out, the built function as child processes.

gateway.py plays API Gateway's REST API in stream mode (events, limits, idle timeout), environment.py one Lambda
execution environment (process, freeze, kill at the deadline) with its Runtime API. It imitates what the documentation
says, and is no proof of what AWS does.
"""

from tests.front.environment import Launch
from tests.front.gateway import Front, FrontOptions, fronted

__all__ = ["Front", "FrontOptions", "Launch", "fronted"]
