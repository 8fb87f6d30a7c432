"""Export: a Keras model becomes a bundle of proven artifacts."""
