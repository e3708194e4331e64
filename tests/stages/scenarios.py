"""What the packages stage does in every family: each one's tests inherit these, and say what `desk` is."""

from datetime import UTC, datetime

import pytest

from knitter.errors import KnitterError
from tests.stages.resolving import Resolving


class EveryFamily:
    """The archive holds `hello`, which needs `world`; see `desk` of the module."""

    newer: str
    """A version of `world` after the first."""

    def test_nothing_changed_does_nothing(self, desk: Resolving) -> None:
        desk.ensure()
        desk.archive.server.requests.clear()
        assert desk.ensure().action == "kept"
        assert desk.archive.server.requests == []

    def test_two_resolves_give_the_same_bytes(self, desk: Resolving) -> None:
        desk.ensure()
        text = desk.lock.read_bytes()
        desk.lock.unlink()
        desk.ensure()
        assert desk.lock.read_bytes() == text

    def test_old_lock_of_a_changed_archive_is_renewed(self, desk: Resolving) -> None:
        first = desk.ensure()
        desk.archive.add("world", version=self.newer)
        desk.archive.publish(date=datetime(2026, 3, 4, tzinfo=UTC))
        desk.age()
        second = desk.ensure()
        assert second.receipt.digest != first.receipt.digest
        assert [one.version for one in desk.locked.packages if one.name == "world"] == [self.newer]
        assert desk.locked.repositories[0].date == datetime(2026, 3, 4, tzinfo=UTC)

    def test_refusal_of_a_renewal_keeps_what_was(self, desk: Resolving) -> None:
        desk.ensure()
        text = desk.lock.read_bytes()
        desk.age()
        desk.archive.server.down()
        with pytest.raises(KnitterError, match=r"cannot be (reached|fetched)"):
            desk.ensure()
        assert desk.lock.read_bytes() == text
        desk.archive.server.up()
        assert desk.ensure().receipt.digest

    def test_pin_is_never_stale_and_needs_no_index(self, desk: Resolving) -> None:
        """Of what the cache lost, it fetches the very file."""
        path = desk.pin()
        desk.archive.add("world", version=self.newer)
        desk.archive.publish()
        (lost,) = (one for one in desk.locked.packages if one.name == "world")
        desk.cached(lost.sha256).unlink()
        desk.archive.server.requests.clear()
        assert desk.ensure().action == "made"
        desk.age()
        assert desk.ensure().action == "kept"
        assert desk.lock.read_bytes() == path.read_bytes()
        assert [path for path, _ in desk.archive.server.requests] == [lost.url.removeprefix(desk.archive.url)]
