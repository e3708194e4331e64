"""One surrogate: started, logged in to, kept alive while it works."""

import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from secrets import token_hex
from time import monotonic
from typing import Final

from knitter.aws import instances, key_pairs, launching, network
from knitter.aws.instances import Instance
from knitter.aws.launching import Launch
from knitter.aws.session import Cloud
from knitter.aws.source import SourceImage
from knitter.aws.tags import RECIPE, STAGE, ensure_tags, expiry_tag, run_tag
from knitter.errors import KnitterError
from knitter.machine.keys import Key, new_key
from knitter.machine.ssh import Endpoint, Ssh, UnansweredError, wait_ssh
from knitter.progress import say
from knitter.settings import Settings
from knitter.surrogate.ledger import Ledger
from knitter.surrogate.user_data import plan_user_data, push_back

LAB_PORT: Final = 2222
"""Where the lab's instances let knitter in: 22 is the host's own."""
PREFIX: Final = "knitter-"
"""Begins the names of temporary security groups and key pairs."""
BOOT: Final = 15 * 60.0
"""Seconds from `running` until it lets knitter in, at most; under an emulated processor it takes minutes."""
LOOK_EVERY: Final = 10.0
"""Seconds between two looks at whether an instance that does not answer still runs."""


@dataclass
class Surrogate:
    """An instance that lets knitter in.  Its keys live only here."""

    cloud: Cloud
    instance: Instance
    endpoint: Endpoint
    key: Key
    seconds: int
    """It lives, from the last `push_back` on."""
    group: str = ""
    """Its temporary security group."""
    ends_itself: bool = True
    """Once its time is over."""
    volumes: list[str] = field(default_factory=list)
    """That are attached for a recipe."""
    attaching: threading.Lock = field(default_factory=threading.Lock)
    """Held while a volume is attached: two would be given the same device name."""
    _pushed: "count[int]" = field(default_factory=lambda: count(1))

    def connect(self) -> Ssh:
        """Log in anew.  Raises InstanceLostError if it has ended, KnitterError if it does not answer."""
        say(f"waiting until {self.instance.id} lets knitter in")
        look = _Look(self.cloud, self.instance.id)
        try:
            machine = wait_ssh(self.endpoint, self.key, deadline=monotonic() + BOOT, meanwhile=look)
            self.endpoint = replace(self.endpoint, host_key=machine.host_key)  # that is who it is from now on
            return machine
        except UnansweredError as error:
            look(now=True)
            raise _silent(self, error) from error

    @contextmanager
    def kept_alive(self, machine: Ssh, *things: str) -> Iterator[None]:
        """Put its end off, now and again as long as the block runs; the tags of it and of *things* say so, too.

        machine: a connection to it; later ones are its own.
        """
        done = threading.Event()
        self._push_back(machine, things)
        keeper = threading.Thread(target=self._keep, args=(done, things), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()

    def _keep(self, done: threading.Event, things: tuple[str, ...]) -> None:
        while not done.wait(self.seconds / 3):
            with suppress(KnitterError):  # the work itself will tell what is wrong
                machine = self.connect()
                try:
                    self._push_back(machine, things)
                finally:
                    machine.close()

    def _push_back(self, machine: Ssh, things: tuple[str, ...]) -> None:
        machine.run(push_back(next(self._pushed), seconds=self.seconds), timeout=60)
        ensure_tags(self.cloud, [self.instance.id, *things], expiry_tag(self.seconds))


class _Look:
    """Looks every few seconds whether an instance still runs.  Raises InstanceLostError if it does not."""

    def __init__(self, cloud: Cloud, instance: str) -> None:
        self._cloud = cloud
        self._instance = instance
        self._next = monotonic() + LOOK_EVERY

    def __call__(self, *, now: bool = False) -> None:
        if monotonic() < self._next and not now:
            return
        self._next = monotonic() + LOOK_EVERY
        found = instances.find_instance(self._cloud, self._instance)
        if found is None or found["State"]["Name"] in instances.LOST:
            raise instances.lost(self._instance, found)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What an instance is started for."""

    recipe: str
    stage: str = "surrogate"
    encrypted: bool = True
    """Its root volume."""
    by_key_pair: bool = False
    """Whether the image takes no user data: it makes its own host key, lets in who has a key pair of EC2's, and does
    not end itself."""
    tokens: bool = True
    """Whether metadata want a token."""


def start(
    cloud: Cloud, settings: Settings, image: SourceImage, *, zone: str = "", ledger: Ledger, purpose: Purpose
) -> Surrogate:
    """An instance that was just started; `connect` waits until it lets knitter in.

    zone: where it is tried first; "": anywhere.
    Raises CloudError, KnitterError; what was made by then is in *ledger*.
    """
    subnets = _near(zone, network.find_subnets(cloud, settings.surrogate_subnets))
    tags = {STAGE: purpose.stage, RECIPE: purpose.recipe, "Name": f"knitter-{purpose.stage}-{purpose.recipe}"}
    tags |= run_tag() | expiry_tag(settings.surrogate_ttl)
    groups, subnets = _groups(cloud, settings, subnets, tags, ledger)
    wanted = launching.plan_launch(
        settings, image, subnets=subnets, groups=groups, tags=tags, encrypted=purpose.encrypted
    )
    wanted = replace(wanted, tokens=purpose.tokens)
    with ExitStack() as stack:
        if purpose.by_key_pair:
            host_key, client = "", new_key("rsa")
            wanted = replace(wanted, key_name=stack.enter_context(_key_pair(cloud, client, tags, ledger)))
        else:
            host, client = new_key(), new_key()
            host_key = host.public
            wanted = replace(wanted, user_data=plan_user_data(host, client, seconds=settings.surrogate_ttl))
        instance = _launched(cloud, wanted, ledger)
    endpoint = plan_endpoint(cloud, settings, instance, user=image.user, host_key=host_key)
    group = "" if settings.surrogate_security_groups else groups[0]
    return Surrogate(
        cloud, instance, endpoint, client, settings.surrogate_ttl, group, ends_itself=not purpose.by_key_pair
    )


@contextmanager
def _key_pair(cloud: Cloud, key: Key, tags: dict[str, str], ledger: Ledger) -> Iterator[str]:
    """The name of a key pair of *key*, which is in EC2 only while the block runs."""
    made: list[str] = []

    def note(name: str) -> None:
        made.append(name)
        ledger.add("key pair", name)

    with key_pairs.imported(cloud, key.public, name=f"{PREFIX}{token_hex(8)}", tags=tags, made=note) as name:
        yield name
    ledger.strike(made[0])


def _launched(cloud: Cloud, wanted: Launch, ledger: Ledger) -> Instance:
    """The instance *wanted*, running, and in *ledger* from the first moment on."""
    name = launching.launch(cloud, wanted)
    ledger.add("instance", name)
    return instances.wait_running(cloud, name)


def plan_endpoint(cloud: Cloud, settings: Settings, instance: Instance, *, user: str, host_key: str) -> Endpoint:
    """The way in, as the settings want it.  Raises KnitterError if the instance has no such address."""
    port = settings.ssh_port or (LAB_PORT if cloud.name == "lab" else 22)
    address = instance.addresses.get(settings.ssh_interface, "")
    if not address and not settings.ssh_proxy_command:
        raise KnitterError(
            f"instance {instance.id} has no address of the kind {settings.ssh_interface}",
            hint="set ssh_interface in .doit.cfg, surrogate_subnets with such addresses, or ssh_proxy_command",
        )
    values = {"instance_id": instance.id, "address": address, "region": cloud.region, "port": str(port)}
    return Endpoint(address or instance.id, port, user, host_key, proxy=_filled(settings.ssh_proxy_command, values))


def _filled(text: str, values: dict[str, str]) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise KnitterError(
            "ssh_proxy_command cannot be read", details=f"{text}: {error}", hint="correct its quotes in .doit.cfg"
        ) from None
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    return tuple(words)


def _near(zone: str, subnets: tuple[network.Subnet, ...]) -> tuple[network.Subnet, ...]:
    return tuple(sorted(subnets, key=lambda subnet: bool(zone) and subnet.zone != zone))


def _groups(
    cloud: Cloud, settings: Settings, subnets: tuple[network.Subnet, ...], tags: dict[str, str], ledger: Ledger
) -> tuple[tuple[str, ...], tuple[network.Subnet, ...]]:
    """Security groups, and the subnets they are good for: a group belongs to one VPC."""
    if settings.surrogate_security_groups:
        return settings.surrogate_security_groups, subnets
    network.check_sources(settings.surrogate_sources, allow_world=settings.allow_world)
    near = tuple(subnet for subnet in subnets if subnet.vpc == subnets[0].vpc)
    sources = settings.surrogate_sources
    if not settings.ssh_proxy_command:
        sources = sources or (network.find_source_block(cloud, settings.ssh_interface, subnets[0]),)
    group = network.create_group(
        cloud, name=f"{PREFIX}{token_hex(8)}", vpc=near[0].vpc, sources=sources, tags=tags, made=_entered(ledger)
    )
    return (group,), near


def _entered(ledger: Ledger) -> Callable[[str], None]:
    return lambda name: ledger.add("security group", name)


def _silent(surrogate: Surrogate, error: UnansweredError) -> KnitterError:
    try:
        lines = instances.console(surrogate.cloud, surrogate.instance.id).splitlines()[-15:]
    except KnitterError:
        lines = []
    shown = "\n".join(["console:", *(f"  {line}" for line in lines)]) if lines else ""
    return KnitterError(
        f"{surrogate.instance.id} does not let knitter in at {surrogate.endpoint}",
        details="\n".join(filter(None, (error.brief, error.details, shown))),
        hint="is port 22 open on the way there (security groups, network ACLs, a route)?  is surrogate_user right?  "
        "else set ssh_interface or ssh_proxy_command in .doit.cfg; on_failure = keep leaves it on for a look",
    )
