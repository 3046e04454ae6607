"""Training of the networks on pairs of pictures (torch)."""
