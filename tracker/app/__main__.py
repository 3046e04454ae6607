"""``python -m tracker.app``, the console script and ``demo.py``: errors of loading included."""

from __future__ import annotations

import os
import sys
import threading

from tracker.cli import run_main


def main() -> None:
    """Run the application; see ``tracker.app.cli``."""
    try:
        run_main(_run)
    except SystemExit as end:
        if any(thread.daemon for thread in threading.enumerate()):
            # it hangs in a read: OpenCV aborts when that returns to a Python that is ending
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        raise


def _run() -> int:
    # read when the libraries are loaded; our own sentences say it better
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")
    # here, so that ctrl-c and a library that is missing are told in a sentence
    from tracker.app.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    main()
