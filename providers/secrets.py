"""Values of models.yaml that live in SSM Parameter Store (`ssm:/path`), through Powertools and its cache."""

import logging

from gateway.errors import UpstreamError

logger = logging.getLogger(__name__)
CACHE_SECONDS = 300


def parameter(path: str) -> str:
    """The decrypted parameter, cached for five minutes. Blocking.

    Raises:
        UpstreamError: it cannot be read; the caller of the API cannot mend that.
    """
    # Loads boto3; only deployments that keep a secret there pay for it.
    from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415

    try:
        return str(parameters.get_parameter(path, decrypt=True, max_age=CACHE_SECONDS))
    except Exception as error:
        # Whatever it is (no rights, no Region, no network, no such parameter), only the operator can mend it.
        logger.warning("the parameter ssm:%s cannot be read: %s: %s", path, type(error).__name__, error)
        message = "The gateway could not read the credential of this model's provider. Tell whoever runs the gateway."
        raise UpstreamError(message) from error
