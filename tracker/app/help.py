"""What the keys and the mouse do, as the window shows it."""

HELP = (
    ("mouse", "draw a target, click to choose one"),
    ("space", "pause and go on"),
    ("n", "one frame"),
    ("left, right", "seek 1 s (up, down: 10 s)"),
    ("+  -", "faster, slower"),
    ("r", "select again"),
    ("a", "add a target"),
    ("tab", "choose the next target"),
    ("d  c", "drop the chosen one, clear all"),
    ("s", "snapshot"),
    ("v", "record on and off"),
    ("h", "this help"),
    ("q, Esc", "quit (Esc first cancels a selection)"),
)
