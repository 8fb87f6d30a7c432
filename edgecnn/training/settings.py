"""What a training run is told, in one place: the options of `edgecnn train`."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from edgecnn.arguments import at_least, one_of
from edgecnn.data import DEFAULT_SPLIT
from edgecnn.errors import DataError, EdgeCnnError
from edgecnn.preprocessing import Resize

Augment = Literal["none", "light", "standard"]
Optimizer = Literal["adamw", "nadam", "sgd"]
Precision = Literal["auto", "float32", "mixed"]
Cache = Literal["auto", "memory", "disk"]
Strategy = Literal["none", "mirrored", "multiworker"]
RANDOM = "random"
FRACTIONS = ("learning_rate", "weight_decay", "warmup_epochs", "label_smoothing")
"""Those that need not be whole numbers."""


@dataclass(frozen=True)
class Settings:
    """Options of a training run; raises `EdgeCnnError` for values out of range."""

    epochs: int = 30
    """Passes over the training pictures, both phases of transfer learning together."""
    batch_size: int = 32
    learning_rate: float = 1e-3
    """The highest rate, after warm-up; fine-tuning a pretrained network takes a tenth of it."""
    optimizer: Optimizer = "adamw"
    weight_decay: float = 1e-4
    warmup_epochs: float = 1.0
    """Epochs in which the rate rises from zero; then it falls to zero along a cosine."""
    label_smoothing: float = 0.0
    patience: int = 10
    """Epochs without a better validation accuracy after which training stops; 0 never stops."""
    augment: Augment = "light"
    balance: bool = False
    """Show each class as often as the largest, in augmented copies."""
    weights: str = RANDOM
    """`random`, `imagenet`, a weights file, or the folder of an earlier run."""
    head_epochs: int | None = None
    """Epochs with the pretrained part frozen; None: a third of all."""
    unfreeze_from: str | None = None
    """Name of the first layer or block to fine-tune; None: all of them."""
    input_shape: tuple[int, int, int] | None = None
    """Height, width and channels; None: what the network was published with."""
    resize: Resize | None = None
    """How a frame becomes that size; None: the network's own rule."""
    split: str = DEFAULT_SPLIT
    split_seed: int = 0
    skip_bad: bool = False
    seed: int = 0
    """Of the initial weights, the order of pictures, dropout and augmentation."""
    precision: Precision = "auto"
    """`mixed` computes in 16 bits; `auto` does so on a GPU."""
    cache: Cache = "auto"
    """Where prepared pictures wait for their epoch; `auto`: in memory where they fit."""
    strategy: Strategy = "none"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) is not None:
                one_of(name, getattr(self, name), choices)
        for name, low, high in (
            ("epochs", 1, None),
            ("batch_size", 1, None),
            ("learning_rate", 0, None),
            ("weight_decay", 0, None),
            ("warmup_epochs", 0, None),
            ("label_smoothing", 0, 0.5),
            ("patience", 0, None),
            ("head_epochs", 0, self.epochs),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if value is None and name == "head_epochs":
                continue
            at_least(name, value, low, whole=name not in FRACTIONS)
            if high is not None and value > high:
                raise EdgeCnnError(f"{name} must be {low} to {high}, not {value}.")
        if self.balance and self.augment == "none":
            raise EdgeCnnError(
                "--balance shows the pictures of small classes several times over: without "
                "augmentation they would be the same each time. Choose --augment light."
            )
        if self.weights == RANDOM and (self.head_epochs or self.unfreeze_from):
            raise EdgeCnnError(
                "--head-epochs and --unfreeze-from are for a pretrained network: add "
                "--weights imagenet."
            )

    def to_json(self) -> dict[str, Any]:
        """As it stands in `run.json` and `checkpoint.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read back what `to_json` wrote; raises `DataError` on anything else."""
        try:
            shape = data["input_shape"]
            return cls(**{**data, "input_shape": tuple(shape) if shape else None})
        except (TypeError, KeyError) as error:
            raise DataError(f"These are no settings of a training run: {error!r}.") from None

    def differences(self, other: Self) -> list[str]:
        """Names of the fields in which the two differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]


CHOICES: dict[str, tuple[str, ...]] = {
    "augment": get_args(Augment),
    "optimizer": get_args(Optimizer),
    "precision": get_args(Precision),
    "cache": get_args(Cache),
    "strategy": get_args(Strategy),
    "resize": get_args(Resize),
}
