"""A proxy in front of a lab that injects faults by plan, and keeps a record of what was asked, refused and done."""

import http.client
import re
import socket
import struct
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from knitter.lab.service import Lab
from tests.campaign.faults import MAKERS, UNKNOWING, Answer, Asked, Plan, asked, refusal, unknown
from tests.lab.conftest import boto_client
from tests.loopback import Handler, Loopback

_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "date", "server"})


@dataclass
class Proxy(Loopback):
    """Forwards everything unchanged to *lab*, but for what the plan of the present run says."""

    lab: Lab
    region: str
    plan: Plan = field(default_factory=Plan)
    on_strike: Callable[[], None] = lambda: None
    """What `plan.struck` leads to."""
    injected: Counter[str] = field(default_factory=Counter)
    """What went wrong in the present run, and how often."""
    carried_out: Counter[str] = field(default_factory=Counter)
    """Actions that changed something and succeeded; blocks by index."""
    lost: Counter[str] = field(default_factory=Counter)
    """Those of them whose answer was lost."""
    heard: int = 0
    """Requests of the present run."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Counter[str] = field(default_factory=Counter)
    _settled: dict[str, float] = field(default_factory=dict)
    """Id -> when it is known everywhere."""
    _full: set[str] = field(default_factory=set)

    def begin(self, plan: Plan, on_strike: Callable[[], None] = lambda: None) -> None:
        """From now on it goes as *plan* says."""
        with self._guard:
            self.plan, self.on_strike = plan, on_strike
            self.heard = 0
            self.injected, self.carried_out, self.lost = Counter(), Counter(), Counter()
            self._numbers.clear()
            self._settled.clear()
            self._full.clear()

    def arrive(self, request: Asked) -> int:
        """Count *request*; the number among those with its key."""
        with self._guard:
            self.heard += 1
            self._numbers[request.key] += 1
            if self.plan.struck and self.heard == self.plan.struck[0]:
                self._later(self.plan.struck[1], self.on_strike)
            return self._numbers[request.key]

    def refuse(self, request: Asked, number: int) -> Answer | None:
        """The error that the plan has for *request*, if the lab shall not hear it."""
        with self._guard:
            if self.plan.expired and self.plan.expired[0] <= self.heard <= self.plan.expired[1]:
                return self._told("expired", refusal(request.service, "expired"))
            if request.action == "ec2:RunInstances" and request.changes and self._is_full(request.place):
                return self._told("no capacity", refusal("ec2", "full"))
            if thing := self._unsettled(request):
                return self._told("unknown yet", unknown(request.service, thing))
        kind = self.plan.draw(request.key, number)
        if kind in ("throttled", "internal", "unavailable"):
            return self._told(kind, refusal(request.service, kind))
        return None

    def note(self, kind: str) -> None:
        """Something went wrong."""
        self.injected[kind] += 1

    def _told(self, kind: str, answer: Answer) -> Answer:
        self.note(kind)
        return answer

    def _is_full(self, place: str) -> bool:
        if len(self._full) < self.plan.full:
            self._full.add(place)
        return place in self._full

    def _unsettled(self, request: Asked) -> str | None:
        """The id in *request* that the service does not know yet."""
        unknown_yet = self._hidden()
        if UNKNOWING.fullmatch(request.action):
            return next((thing for thing in unknown_yet if request.names(thing)), None)
        return None

    def _hidden(self) -> list[str]:
        now = time.monotonic()
        return [thing for thing, moment in self._settled.items() if moment > now]

    def learn(self, request: Asked, answer: Answer) -> None:
        """What *answer*, the lab's own, tells of what was done and made."""
        if answer.status >= 300 or not request.changes:
            return
        with self._guard:
            self.carried_out[request.key] += 1
            made = re.search(MAKERS.get(request.action, rb"(?!)"), answer.body)
            if made is None or (thing := made[1].decode()) in self._settled:
                return
            number = sum(known.partition("-")[0] == thing.partition("-")[0] for known in self._settled)
            self._settled[thing] = time.monotonic() + self.plan.settled_after(thing, number)
            if request.action == "ec2:RunInstances" and self.plan.interrupted is not None:
                self._later(self.plan.interrupted, lambda: self._take_away(thing))

    def hide(self, request: Asked, answer: Answer) -> Answer:
        """A list without what is not known yet."""
        if not request.action.startswith("ec2:Describe") or answer.status != 200:
            return answer
        with self._guard:
            hidden = [thing for thing in self._hidden() if f">{thing}<".encode() in answer.body]
            if not hidden:
                return answer
            tree = ET.fromstring(answer.body)
            if not without(tree, hidden):
                return answer
            return self._told("missing in a list", Answer(200, answer.headers, ET.tostring(tree)))

    def _take_away(self, instance: str) -> None:
        """As EC2 does when it needs its capacity."""
        self.note("interruption")
        with suppress(ClientError):  # it may be gone already
            boto_client(self.lab, "ec2", region=self.region).terminate_instances(InstanceIds=[instance])

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()


OWN_IDS: Final = ("instanceId", "volumeId", "snapshotId", "groupId", "imageId")
LISTS: Final = ("reservationSet", "instancesSet", "volumeSet", "snapshotSet", "securityGroupInfo", "imagesSet")


def without(tree: ET.Element, things: list[str]) -> bool:
    """Take the items of *things* out of the lists of a Describe answer; whether there were any."""
    changed = False
    for parent in list(tree.iter()):
        if _bare(parent) not in LISTS:
            continue
        for item in list(parent):
            inside = next((child for child in item if _bare(child) == "instancesSet"), None)
            if inside is not None:
                changed |= without(item, things)
            if (inside is not None and not len(inside)) or _own_id(item) in things:
                parent.remove(item)
                changed = True
    return changed


def _own_id(item: ET.Element) -> str:
    """The first of its children that is an id: a volume's own stands before its snapshot's."""
    return next((child.text or "" for child in item if _bare(child) in OWN_IDS), "")


def _bare(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


class _Handler(Handler):
    owner: Proxy

    def setup(self) -> None:
        super().setup()
        self._upstream = http.client.HTTPConnection(urlsplit(self.owner.lab.endpoint).netloc)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _forward(self) -> None:
        owner = self.owner
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = asked(self.command, self.path, headers, body)
        number = owner.arrive(request)
        kind = owner.plan.draw(request.key, number)
        if told := owner.refuse(request, number):
            self._send(told)
            return
        if kind == "reset before":
            self._reset(kind)
            return
        answer = self._ask(body)
        owner.learn(request, answer)
        if kind == "reset after":
            owner.lost[request.key] += request.changes and answer.status < 300
            self._reset(kind)
            return
        if kind == "slow":
            owner.note(kind)
            time.sleep(owner.plan.delay(request.key, number))
        self._send(owner.hide(request, answer))

    def _ask(self, body: bytes) -> Answer:
        """What the lab says.  An idle connection that the lab closed is opened anew; nothing is sent twice."""
        self._upstream.request(self.command, self.path, body, dict(self.headers.items()))
        response = self._upstream.getresponse()
        return Answer(response.status, tuple(response.getheaders()), response.read())

    def _reset(self, kind: str) -> None:
        self.owner.note(kind)
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_PUT = do_POST = do_GET = _forward  # noqa: N815


Proxy.handler = _Handler
