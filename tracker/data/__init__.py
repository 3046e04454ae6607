"""Annotated clips as they are distributed: annotation files, layouts of data sets, attributes.

Training and evaluation read them; a tracker that runs knows nothing of them.
"""
