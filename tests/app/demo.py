"""The demo with ``ColourSession``, for tests that drive it as a process of its own."""

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.app.scene import ColourSession  # noqa: E402
from tracker.app.cli import run  # noqa: E402
from tracker.cli import run_main  # noqa: E402


class SlowSession(ColourSession):
    """Takes 15 ms a frame, so that a signal can hit the middle of a clip."""

    def update(self, image):
        time.sleep(0.015)
        return super().update(image)


if __name__ == "__main__":
    slow = "--slow" in sys.argv
    rest = [a for a in sys.argv[1:] if a != "--slow"]
    run_main(lambda: run(rest, make_session=SlowSession if slow else ColourSession))
