"""A key pair of EC2's, for images that take their user's key from the instance's metadata and from nowhere else.

It is there only while its instance is started: the metadata keep the key.  Source: Amazon EC2 API Reference,
ImportKeyPair, which takes ed25519 and RSA.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from knitter import interrupt
from knitter.aws.explain import explained
from knitter.aws.removal import REMOVE
from knitter.aws.session import Cloud
from knitter.aws.tags import as_list


@contextmanager
def imported(
    cloud: Cloud, public: str, *, name: str, tags: dict[str, str], made: Callable[[str], None]
) -> Iterator[str]:
    """The name of a key pair of *public*, which is removed after the block; *made* hears its id.  Raises CloudError."""
    with explained("bringing the key that logs in"):
        answer = cloud.ec2.import_key_pair(
            KeyName=name,
            PublicKeyMaterial=f"{public} {name}".encode(),
            TagSpecifications=[{"ResourceType": "key-pair", "Tags": as_list(tags)}],
        )
    made(answer["KeyPairId"])
    try:
        yield name
    finally:
        with interrupt.cleaning():
            REMOVE["key pair"](cloud, answer["KeyPairId"])
