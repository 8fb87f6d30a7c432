"""Which of a stream's frames are worth a label, decided in the live loop's way at little cost."""
