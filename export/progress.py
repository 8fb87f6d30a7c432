"""What export is doing, for whoever wants to show it."""


class ExportProgress:
    """Told of every step; this one shows nothing."""

    def step(self, name: str, total: int | None = None) -> None:
        """A step begins; `total` is its number of pictures where it counts them."""

    def advance(self) -> None:
        """One picture of the current step is done."""

    def note(self, message: str) -> None:
        """Something the user should know."""
