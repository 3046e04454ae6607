"""Follow objects in a video, camera or stream: ``python demo.py --help``."""

from tracker.app.cli import main

if __name__ == "__main__":
    main()
