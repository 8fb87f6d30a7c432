"""The web page of a running classifier: picture, labels, figures, and metrics for monitoring."""
