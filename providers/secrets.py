"""Values of models.yaml that live in SSM Parameter Store (`ssm:/path`), through Powertools and its cache."""

from gateway.errors import UpstreamError

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
    except parameters.GetParameterError as error:
        message = "The gateway could not read the credential of this model's provider."
        raise UpstreamError(message) from error
