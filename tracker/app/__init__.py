"""The application: sources of frames, window, drawing, files.

Of a network it knows the files (``inputs.py``) and how to open them (``cli.py``), and no torch.
"""
