"""ASGI on AWS Lambda's Runtime API, with response streaming: what Python's managed runtime does not have.

Takes the place of the runtime's own loop (`AWS_LAMBDA_EXEC_WRAPPER` → `python -m lambda_runtime`); serves any ASGI app.
Nothing of zerogate is imported here.

    __main__ → loop: init, lifespan startup, then  api.next → events → serving → streamed | buffered → settling, again

Handler: the function's `Handler` names `module.attribute`: an ASGI app, or a callable without arguments that returns
one or a `Function`.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html,
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming, and the Runtime
API server in https://github.com/aws/aws-lambda-runtime-interface-emulator
"""

from lambda_runtime.function import DEADLINE, Failure, FailureKind, Function, RenderedFailure, ResponseMode

__all__ = ["DEADLINE", "Failure", "FailureKind", "Function", "RenderedFailure", "ResponseMode"]
