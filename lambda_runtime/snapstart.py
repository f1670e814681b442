"""SnapStart: hooks before the snapshot and after the restore, as the stock runtime runs them.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-custom.html
"""

import random
from importlib import import_module
from types import ModuleType

from lambda_runtime.function import Function


async def before_snapshot(function: Function) -> None:
    """The function's hook, then the registered ones, in reverse order of their registration."""
    await function.before_snapshot()
    registry = _registry()
    hooks = registry.get_before_snapshot() if registry else []
    while hooks:
        hook, args, kwargs = hooks.pop()
        hook(*args, **kwargs)


async def after_restore(function: Function) -> None:
    """The registered hooks in order, then the function's."""
    # Every restored environment would draw the same numbers. (`secrets`, `uuid4` and `ssl` ask the kernel.)
    random.seed()
    registry = _registry()
    for hook, args, kwargs in registry.get_after_restore() if registry else []:
        hook(*args, **kwargs)
    await function.after_restore()


def _registry() -> ModuleType | None:
    """Lambda's library of hooks, where the app has it."""
    try:
        return import_module("snapshot_restore_py")
    except ImportError:
        return None
