"""Weights from elsewhere: packaged, cached, downloaded or from a file."""
