"""The one exception that command lines turn into a sentence and exit status 2."""

from __future__ import annotations


class UserError(Exception):
    """Input that a person can mend: a wrong path, a damaged file, a missing package.

    The message is one sentence: what was wrong, what was found, what to do.
    Libraries callers see it as any exception; ``tracker.cli.run_main`` prints it
    without a traceback and exits with status 2.
    """
