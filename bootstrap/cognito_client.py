"""Builds the boto3 client for Cognito. boto3 is loaded here and not at import."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

# moto asks for some; AWS is never reached with them.
LOCAL_CREDENTIALS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


def build_client(
    *, region: str, endpoint_url: str | None = None, local: bool = False
) -> "CognitoIdentityProviderClient":
    """A client that answers or fails within seconds: a request waits for it. Blocking, a tenth of a second of CPU."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=2,
        read_timeout=3,
        # Standard mode waits with jitter between tries.
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=16,
    )
    credentials: dict[str, Any] = LOCAL_CREDENTIALS if local else {}
    # A session of its own: boto3's default one is shared by the process and not safe to build from threads.
    session = boto3.session.Session(region_name=region, **credentials)
    return session.client("cognito-idp", endpoint_url=endpoint_url, config=config)


def client_errors() -> tuple[type[Exception], ...]:
    """What the client's calls raise."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    return (BotoCoreError, ClientError)
