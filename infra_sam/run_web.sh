#!/bin/sh
# For the Lambda Web Adapter, in place of run.sh: an HTTP server on the port that the adapter forwards to.
# The function's Handler is this file's name; see docs/deploy.md.
cd "${LAMBDA_TASK_ROOT:-$(dirname "$0")}" && exec "${PYTHON:-python3}" -u -m uvicorn --factory bootstrap.lambda_entry:web \
	--host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" --no-access-log --log-level warning
