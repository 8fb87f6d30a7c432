"""What is being done on each board, for whoever wants to show it."""


class DeployProgress:
    """Told of every step, from the thread of each board; this one shows nothing."""

    def step(self, host: str, doing: str, total_bytes: int = 0) -> None:
        """A step begins on a board; `total_bytes` is what it will send."""

    def advance(self, host: str, size: int) -> None:
        """So many bytes more were sent to a board."""
