"""The board: what it is, what it shows of itself, and which engines are worth trying on it."""
