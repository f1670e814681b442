"""`python -m lambda_runtime`: what the function's wrapper script starts in place of the stock loop."""

import sys
from typing import NoReturn

from lambda_runtime.environment import Environment, NotOnLambda


def main() -> NoReturn:
    """Serve until Lambda ends the process; exit code 2 outside Lambda."""
    try:
        environment = Environment.read()
    except NotOnLambda as error:
        print(error, file=sys.stderr)  # noqa: T201  a person reads it
        sys.exit(2)
    from lambda_runtime.loop import run  # noqa: PLC0415  the message above needs none of it

    run(environment)


if __name__ == "__main__":
    main()
