"""A clip, and the command line in this process."""

import pytest

from tests.app import scene
from tracker.app import cli


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return scene.write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 60, 29.97)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **options):
        return cli.run([str(a) for a in arguments], make_session=scene.ColourSession, **options)

    return run
