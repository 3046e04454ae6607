"""Whether a video is damaged: what its header promises and its decoder reports, and what came."""

from __future__ import annotations

from tracker.app.decoder_log import DecoderLog
from tracker.app.numbering import Numbering
from tracker.app.origin import Origin
from tracker.errors import UserError

SETTLED = 3.0  # seconds after a jump in which a decoder may miss pictures from before it


class Damage:
    """Watches a video while it is read, and knows at its end what to say.

    Args:
        origin: where it comes from.
        promised: how many frames its header states, if it does.
        fps: frames a second.
        log: what its decoder reports.
    """

    def __init__(
        self, origin: Origin, promised: int | None, fps: float, log: DecoderLog | None
    ) -> None:
        self._origin, self._promised, self._fps = origin, promised, fps
        self._counts_pictures = origin.counts_pictures()
        self._log = log or DecoderLog()  # which hears nothing
        self._settled = 0  # the frame from which on errors are damage
        self._first_error: int | None = None  # the frame at which it was heard of
        self.forget()

    def forget(self) -> None:
        """What was reported so far is of no frame."""
        self._log.begin()

    def see(self, index: int) -> None:
        """A frame was read."""
        if index >= self._settled:
            self._log.excuse(False)
        if self._first_error is None and self._log.count:
            self._first_error = index

    def excuse(self) -> None:
        """The decoder is about to jump: what it reports from here on is no damage."""
        self._log.excuse(True)

    def settle(self, index: int) -> None:
        """The decoder has jumped, and gives frame ``index`` next."""
        self._settled = index + round(SETTLED * self._fps)

    def sum_up(self, numbers: Numbering, waited: float) -> str:
        """What to say where no more frame comes, after waiting ``waited`` seconds for one.

        Returns:
            A sentence; empty where nothing is wrong.

        Raises:
            UserError: there was no frame, or there should be more of them.
        """
        shown = self._origin.shown
        if not numbers.next:
            hint = self._origin.no_frame
            raise UserError(f"{shown} holds no frame that can be read: it is damaged{hint}")
        self._log.catch_up()
        silent = waited > 0.9 * self._origin.patience
        reason = "its server fell silent" if silent else self._why_cut(numbers)
        if reason:
            raise UserError(
                f"{shown} is damaged or cut off: it ends after frame {numbers.next - 1}, "
                f"and {reason}; the frames before are kept"
            )
        if not self._log.count:
            return ""
        if self._first_error is None:
            self._first_error = numbers.next - 1
        return (
            f"{shown} is damaged: the decoder reported {self._log.count} errors from about "
            f"frame {self._first_error} on ({self._log.first}); pictures may be wrong there"
        )

    def _why_cut(self, numbers: Numbering) -> str:
        """What says that the video should go on; empty where nothing does.

        Fewer frames and less time than promised; either alone is how some files are made. Where
        the promise is the length of the whole file, its sound may last longer than its pictures.
        """
        trusted = self._counts_pictures or self._log.count
        if self._promised is not None and trusted and not numbers.jumped:
            missing = self._promised - numbers.next
            seconds = (self._promised - 1) / self._fps - numbers.last_time
            slack = max(2, 0.005 * self._promised)
            if missing > slack and seconds > slack / self._fps:
                return f"its header promises {self._promised} frames"
        if self._log.early_ends:
            return "the decoder found no proper end of the file"
        return ""
