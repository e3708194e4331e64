"""getsshkey, the init script of centos-6.9: the very file, run by both shells, against metadata on loopback."""

import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from knitter.vm.metadata import Answer, Imds, Instance, Service

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).parents[1] / "recipes/centos-6.9/files/etc/rc.d/init.d/getsshkey"
SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix")}
KEY = "ssh-rsa AAAAB3NzaC1yc2E+/mine== me@example.org"
OTHER = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= other"
LIST = "/latest/meta-data/public-keys/"
Respond = Callable[[str, str, Mapping[str, str]], Answer]


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """URL of a metadata service that answers as *respond* says: method, path, headers."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            answer = respond(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_PUT = _answer  # noqa: N815 http.server's names

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def service(imds: Imds, key: str = KEY) -> Service:
    return Service(Instance(user_data=b"", public_key=key, imds=imds))


def with_pages(pages: Mapping[str, str | int], imds: Imds = "v1.0") -> Respond:
    """As EC2 does, but for *pages*: path -> text, or status."""
    usual = service(imds)

    def respond(method: str, path: str, headers: Mapping[str, str]) -> Answer:
        match pages.get(path):
            case str(text):
                return Answer(HTTPStatus.OK, text.encode())
            case int(status):
                return Answer(HTTPStatus(status))
            case _:
                return usual.answer(method, path, headers)

    return respond


class System:
    """A root directory, and what the script does in it."""

    def __init__(self, root: Path, shell: tuple[str, ...]) -> None:
        self.root = root
        self.shell = shell
        self.folder = root / "root/.ssh"
        self.file = self.folder / "authorized_keys"
        (root / "var/lock/subsys").mkdir(parents=True)

    def run(self, url: str = "", word: str = "start", *, seconds: int = 5, code: int = 0) -> str:
        env = {"GETSSHKEY_ROOT": str(self.root), "GETSSHKEY_SECONDS": str(seconds)} | (
            {"GETSSHKEY_URL": url} if url else {}
        )
        done = subprocess.run([*self.shell, SCRIPT, word], env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")
        return done.stdout

    @property
    def keys(self) -> list[str]:
        return self.file.read_text().splitlines()


@pytest.fixture(params=SHELLS)
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    return System(tmp_path / "root", SHELLS[request.param])


@pytest.mark.parametrize("imds", ["v2.0", "v1.0"])
def test_the_key_is_let_in(system: System, imds: Imds) -> None:
    asked = service(imds)
    with serving(asked.answer) as url:
        assert system.run(url) == "getsshkey: 1 added, 0 known, 0 that are no keys\n"
    assert system.keys == [KEY]
    assert stat.S_IMODE(system.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(system.file.stat().st_mode) == 0o600
    assert [one.method for one in asked.asked] == ["PUT", "GET", "GET"]
    assert all(one.with_token for one in asked.asked[1:]), "with a token even where none is needed"


def test_a_service_that_knows_no_tokens(system: System) -> None:
    with serving(with_pages({"/latest/api/token": 404})) as url:
        system.run(url)
    assert system.keys == [KEY]


def test_every_key_comes_once_and_what_was_there_stays(system: System) -> None:
    pages = {
        LIST: "0=mine\n1=other\n7=mine again",
        f"{LIST}1/openssh-key": OTHER + "\r\n",
        f"{LIST}7/openssh-key": f"{KEY}\n{OTHER}",
    }
    system.folder.mkdir(parents=True, mode=0o755)
    longer = OTHER.replace("NTY=", "NTY=x"), 'from="192.0.2.7" ssh-rsa AAAAB3NzaC1yc2E+/mine==x'
    system.file.write_text("\n".join(longer))  # no line end comes last
    system.file.chmod(0o644)
    with serving(with_pages(pages, "v2.0")) as url:
        assert system.run(url).endswith("2 added, 2 known, 0 that are no keys\n")
        assert system.run(url).endswith("0 added, 4 known, 0 that are no keys\n")
    assert system.keys[2:] == [KEY, OTHER]
    assert len(system.keys) == 4
    assert stat.S_IMODE(system.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(system.file.stat().st_mode) == 0o600
    assert [path.name for path in system.folder.iterdir()] == ["authorized_keys"]


@pytest.mark.parametrize(
    "text",
    [
        "<html>\n<p>ssh-rsa AAAA</p>",
        'command="rm -rf /" ' + KEY,
        "ssh-rsa",
        "ssh-rsa AAAA*$(reboot) x",
        "\x00\xff\x1b[2J",
        "",
    ],
)
def test_what_is_no_key_is_not_let_in(system: System, text: str) -> None:
    with serving(with_pages({f"{LIST}0/openssh-key": text})) as url:
        assert "0 added, 0 known" in system.run(url)
    assert not system.file.exists()


def test_a_list_that_is_none(system: System) -> None:
    with serving(with_pages({LIST: "<html>\n0;reboot=x\n*=y\n../..=z\n"})) as url:
        assert system.run(url).endswith("0 added, 0 known, 4 that are no keys\n")


def test_a_token_that_is_none_is_not_sent(system: System) -> None:
    with serving(with_pages({"/latest/api/token": "<html>\nX-Evil: 1"})) as url:
        system.run(url)
    assert system.keys == [KEY]


@pytest.mark.parametrize(
    ("respond", "says"),
    [
        (service("disabled").answer, "instance metadata is switched off"),
        (service("v2.0", "").answer, "the instance was started without a key"),
    ],
    ids=["switched off", "no key"],
)
def test_what_will_not_come_is_not_waited_for(system: System, respond: Respond, says: str) -> None:
    start = time.monotonic()
    with serving(respond) as url:
        assert system.run(url, seconds=50) == f"getsshkey: {says}\n"
    assert time.monotonic() - start < 15


def test_a_service_that_comes_late_is_waited_for(system: System) -> None:
    usual, begun = service("v2.0"), time.monotonic()

    def respond(method: str, path: str, headers: Mapping[str, str]) -> Answer:
        late = time.monotonic() - begun < 2
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE) if late else usual.answer(method, path, headers)

    with serving(respond) as url:
        assert "1 added" in system.run(url, seconds=30)


def test_refused(system: System) -> None:
    start = time.monotonic()
    with serving(service("v2.0").answer) as url:
        pass  # nobody is there any more
    assert f"gave up: no instance metadata from {url} within 3 s (last answer: 000)" in system.run(url, seconds=3)
    assert 3 <= time.monotonic() - start < 12


def test_silence_ends_within_its_bound(system: System) -> None:
    def respond(*_: object) -> Answer:
        time.sleep(6)
        return Answer(HTTPStatus.OK)

    start = time.monotonic()
    with serving(respond) as url:
        assert "gave up" in system.run(url, seconds=3)
    assert time.monotonic() - start < 20


def test_it_ends_within_a_minute_if_nobody_says_otherwise() -> None:
    assert "GETSSHKEY_SECONDS:-50}" in SCRIPT.read_text()


def test_settings_in_sysconfig(system: System) -> None:
    with serving(service("v2.0").answer) as url:
        (system.root / "etc/sysconfig").mkdir(parents=True)
        (system.root / "etc/sysconfig/getsshkey").write_text(f"GETSSHKEY_URL={url}\n")
        assert "1 added" in system.run()


def test_a_folder_that_cannot_be_made_does_not_stop_the_boot(system: System) -> None:
    (system.root / "root").write_text("no folder")
    with serving(service("v2.0").answer) as url:
        done = subprocess.run(
            [*system.shell, SCRIPT, "start"],
            env={"GETSSHKEY_ROOT": str(system.root), "GETSSHKEY_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0
    assert "getsshkey: cannot write" in done.stdout


def test_as_an_init_script(system: System) -> None:
    assert system.run(word="status", code=3) == "getsshkey has not run\n"
    with serving(service("v2.0").answer) as url:
        system.run(url)
    assert system.run(word="status") == "getsshkey has run\n"
    system.run(word="stop")
    assert system.run(word="status", code=3) == "getsshkey has not run\n"
    assert "usage:" in system.run(word="", code=2)
    assert SCRIPT.stat().st_mode & 0o777 == 0o755
    assert "\n# chkconfig: 2345 11 89\n" in SCRIPT.read_text()
