"""The application: sources of frames, window, drawing, files. It knows no network."""
