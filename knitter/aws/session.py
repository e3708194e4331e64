"""One connection to a cloud: clients, credentials, endpoints.  boto3 is imported when the first is needed."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import knitter
from knitter.aws.explain import NO_CREDENTIALS, explained
from knitter.aws.signer import Credentials
from knitter.errors import CloudError

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ec2 import EC2Client

T = TypeVar("T")

RETRIES: Final = 8
CONNECT_TIMEOUT: Final = 10
"""Seconds."""
READ_TIMEOUT: Final = 60
"""Seconds."""
FRESH: Final = 5.0
"""Seconds for which `remembered` answers from memory."""


@dataclass
class Cloud:
    """AWS in one region, or the lab.  Thread-safe: clients are, making them is not, so that is done under a lock."""

    name: str
    """`lab`, or the region: names the folder of its receipts."""
    region: str
    profile: str = ""
    endpoint: str = ""
    """Of every service; empty: AWS's own."""
    keys: tuple[str, str] | None = None
    """Access key and secret; None: boto3's usual order."""
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    _memory: dict[str, tuple[float, Any]] = field(default_factory=dict, repr=False)
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def ec2(self) -> "EC2Client":
        """The client of EC2."""
        client: EC2Client = self._client("ec2")
        return client

    @property
    def ebs(self) -> "EBSClient":
        """The client of the EBS direct APIs."""
        client: EBSClient = self._client("ebs")
        return client

    @property
    def ec2_once(self) -> "EC2Client":
        """A client of EC2 that repeats nothing: for what would be made twice."""
        with self._guard:
            if "ec2 once" not in self._clients:
                self._clients["ec2 once"] = self._make("ec2", retries={"total_max_attempts": 1})
            client: EC2Client = self._clients["ec2 once"]
            return client

    def client(self, service: str) -> Any:
        """The client of any other *service*, such as `ssm`."""
        return self._client(service)

    def blocks_client(self, connections: int) -> "EBSClient":
        """A client of the EBS direct APIs for *connections* threads; it repeats nothing, its caller does."""
        client: EBSClient = self._make("ebs", max_pool_connections=connections, retries={"total_max_attempts": 1})
        return client

    def endpoint_url(self, service: str) -> str:
        """Where *service* answers, such as `https://ec2.eu-west-1.amazonaws.com`."""
        return self.endpoint or str(self._client(service).meta.endpoint_url)

    def credentials(self) -> Credentials:
        """Credentials good for now; ask again for each request, they may be refreshed.  Raises CloudError."""
        if self.keys:
            return Credentials(*self.keys)
        with explained("reading the AWS credentials"):
            found = self._source.get_frozen_credentials()
        return Credentials(found.access_key or "", found.secret_key or "", found.token)

    def remembered(self, what: str, ask: Callable[[], T]) -> T:
        """What *ask* answers; asked again only after a few seconds, or after `forget`."""
        with self._guard:
            asked, answer = self._memory.get(what, (float("-inf"), None))
            if answer is None or time.monotonic() - asked > FRESH:
                answer = ask()
                self._memory[what] = (time.monotonic(), answer)
            known: T = answer
            return known

    def forget(self) -> None:
        """Something was made or removed in the cloud: what is remembered no longer holds."""
        with self._guard:
            self._memory.clear()

    @cached_property
    def account(self) -> str:
        """The account's number.  Raises CloudError when the credentials are not accepted."""
        with explained("asking AWS who we are"):
            return str(self._client("sts").get_caller_identity()["Account"])

    @cached_property
    def _source(self) -> Any:
        """Refreshes itself; boto3 locks inside."""
        with self._guard, explained("reading the AWS credentials"):
            found = self._session.get_credentials()
        if found is None:
            raise CloudError("there are no AWS credentials", code="NoCredentialsError", hint=NO_CREDENTIALS)
        return found

    @cached_property
    def _session(self) -> "boto3.Session":
        with explained(f"opening the AWS profile {self.profile or 'default'}"):
            import boto3  # noqa: PLC0415 slow to import

            if self.keys:
                return boto3.Session(*self.keys, region_name=self.region)
            return boto3.Session(region_name=self.region, profile_name=self.profile or None)

    def _client(self, service: str) -> Any:
        with self._guard:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str, **options: Any) -> Any:
        with self._guard, explained(f"connecting to {service} in {self.region}"):
            # Stubs know each service by its literal name only.
            maker: Any = self._session.client
            return maker(service, endpoint_url=self.endpoint or None, config=_config(**options))


def _config(**options: Any) -> "Config":
    from botocore.config import Config  # noqa: PLC0415 slow to import

    common: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "retries": {"total_max_attempts": RETRIES, "mode": "standard"},
        "user_agent_extra": f"knitter/{knitter.__version__}",
        "tcp_keepalive": True,
    }
    return Config(**(common | options))
