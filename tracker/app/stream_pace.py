"""When the frames of a stream are due that come in bursts, such as HLS with its segments.

A segment of four seconds arrives at once; taken as they come, nearly all of its frames would be
passed over. Each is held until it is due by the times that the stream states.
"""

from __future__ import annotations

CREEP = 5e-4
"""The plan is faster than life by so much, so that clocks which differ build up no delay."""
CREDIT = 5.0
"""Seconds by which late frames may put off the plan: segments are not published to the second."""
REFILL = 1.1 * CREEP
"""Seconds of credit that come back a second: as many as the plan gains, and what clocks differ."""
JUMP = 2.0
"""Seconds between two frames that are no pause but another clock."""
PATIENCE = 30.0
"""Seconds in which no frame comes in time until the plan is given up for a new one."""


class StreamPace:
    """A plan of when frames are due, which never makes a stream older than it must be.

    Frames that come late are not held. They put the plan off while there is credit; beyond it the
    plan stays, and frames that queued up are passed over until it is met again. So a source that
    is slower than its stated times never waits, and after a silence at most ``CREDIT`` seconds
    of delay are left.
    """

    def __init__(self) -> None:
        self._stated: float | None = None
        self._due = self._kept = 0.0
        self._credit = CREDIT

    def wait(self, stated: float, now: float) -> float:
        """Seconds until a frame is due that was taken ``now`` and states its time in seconds."""
        step = JUMP + 1 if self._stated is None else stated - self._stated
        self._stated = stated
        if not abs(step) <= JUMP or now - self._kept > PATIENCE:
            self._due, self._kept, self._credit = now, now, CREDIT
            return 0.0
        self._due += step * (1 - CREEP)
        self._credit = min(self._credit + REFILL * max(step, 0.0), CREDIT)
        late = now - self._due
        if late <= self._credit:
            self._kept = now
        if late <= 0:
            return -late
        put_off = min(late, self._credit)
        self._credit -= put_off
        self._due += put_off
        return 0.0
