"""Follow objects in a video, camera or stream: ``python demo.py --help``."""

from tracker.app.__main__ import main

if __name__ == "__main__":
    main()
