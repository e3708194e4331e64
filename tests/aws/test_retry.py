"""What answers mean, and how fast requests go: no clock but the test's own."""

import random

import pytest

from knitter.aws.retry import LONGEST_PAUSE, ONE_WAVE, RECOVERY, SLOWEST, Answer, Pace, Verdict, backoff, verdict


@pytest.mark.parametrize(
    ("answer", "settled", "settling"),
    [
        (Answer(201), Verdict.DONE, Verdict.DONE),
        (Answer(500, "InternalServerException"), Verdict.AGAIN, Verdict.AGAIN),
        (Answer(502), Verdict.AGAIN, Verdict.AGAIN),
        (Answer(503), Verdict.SLOWER, Verdict.SLOWER),
        (Answer(400, "ThrottlingException"), Verdict.SLOWER, Verdict.SLOWER),
        (Answer(400, "RequestThrottledException", reason="ACCOUNT_THROTTLED"), Verdict.SLOWER, Verdict.SLOWER),
        (Answer(400, "ValidationException", "Failed to read block data"), Verdict.AGAIN, Verdict.AGAIN),
        (Answer(400, "ValidationException", reason="WRITE_REQUEST_TIMEOUT"), Verdict.AGAIN, Verdict.AGAIN),
        (Answer(400, "ValidationException", reason="INVALID_BLOCK"), Verdict.NEVER, Verdict.NEVER),
        (Answer(403, "InvalidSignatureException"), Verdict.AGAIN, Verdict.AGAIN),
        (Answer(403, "AccessDeniedException"), Verdict.NEVER, Verdict.NEVER),
        (Answer(403, "ExpiredTokenException"), Verdict.NEVER, Verdict.NEVER),
        (Answer(404, "ResourceNotFoundException"), Verdict.NEVER, Verdict.AGAIN),
        (Answer(409, "ConflictException"), Verdict.NEVER, Verdict.NEVER),
        (Answer(402, "ServiceQuotaExceededException"), Verdict.NEVER, Verdict.NEVER),
        (Answer(0, "ConnectionResetError"), Verdict.AGAIN, Verdict.AGAIN),
    ],
)
def test_verdicts(answer: Answer, settled: Verdict, settling: Verdict) -> None:
    """Amazon EBS User Guide, EBS direct APIs, error retries."""
    assert verdict(answer, settling=False) is settled
    assert verdict(answer, settling=True) is settling


def test_backoff_is_full_jitter_under_a_growing_bound() -> None:
    rng = random.Random(1)
    pauses = {failures: [backoff(failures, rng=rng) for _ in range(500)] for failures in (1, 3, 30)}
    assert min(pauses[3]) < 0.05
    assert 0.19 < max(pauses[1]) <= 0.2
    assert 0.75 < max(pauses[3]) <= 0.8
    assert 19 < max(pauses[30]) <= LONGEST_PAUSE


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _count(pace: Pace, clock: Clock, seconds: float) -> int:
    """Requests that go in *seconds*, one after another."""
    end, count = clock.now + seconds, 0
    while clock.now < end:
        clock.now += pace.reserve()
        count += 1
    return count


def test_pace_is_never_above_the_rate() -> None:
    clock = Clock()
    assert _count(Pace(100, clock), clock, 10) == pytest.approx(1000, abs=2)


def test_idle_time_is_not_saved_for_a_burst() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    clock.now += 60
    assert _count(pace, clock, 1) == pytest.approx(100, abs=2)


def test_throttling_halves_the_rate_once_a_wave_and_it_recovers() -> None:
    clock = Clock()
    pace = Pace(1000, clock)
    for _ in range(50):
        pace.throttled()
    assert pace.rate == 500
    clock.now += ONE_WAVE
    pace.throttled()
    assert pace.rate == pytest.approx(267, abs=2)
    clock.now += RECOVERY
    assert pace.rate == 1000


def test_throttling_never_stops_all() -> None:
    clock = Clock()
    pace = Pace(4, clock)
    for _ in range(10):
        clock.now += ONE_WAVE
        pace.throttled()
    assert pace.rate == SLOWEST
