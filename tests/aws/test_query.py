"""EC2's Query protocol, when what answers is something else."""

import pytest

from knitter.aws import inventory
from knitter.aws.session import Cloud
from knitter.errors import CloudError
from tests.loopback import Handler, Loopback

pytestmark = pytest.mark.lab
PAGE = b"<html><p>Please log in<br></html>"


class _LoginPage(Handler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    do_POST = do_GET = _answer  # noqa: N815 (http.server's names)


class LoginPage(Loopback):
    handler = _LoginPage


def test_a_page_that_is_not_ec2s_is_told_as_such() -> None:
    with LoginPage() as server:
        cloud = Cloud("aws", "eu-west-1", endpoint=server.url, keys=("AKIDEXAMPLE", "secret"))
        with pytest.raises(CloudError, match="what answers there is not EC2") as caught:
            inventory.images(cloud)
    assert "Please log in" in caught.value.details
    assert "endpoint" in caught.value.hint
