#!/bin/sh
# Lambda starts this (AWS_LAMBDA_EXEC_WRAPPER) with the interpreter and its own loop's file as arguments; ours takes the
# loop's place. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
cd "${LAMBDA_TASK_ROOT:-$(dirname "$0")}" && exec "$1" -u -m lambda_runtime
