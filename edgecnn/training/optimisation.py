"""Optimizer, learning rate and loss."""

from typing import TYPE_CHECKING, Any

from edgecnn.training.settings import Settings

if TYPE_CHECKING:
    import keras


def compile_graph(
    graph: "keras.Model", settings: Settings, *, peak_rate: float, epochs: int, steps: int
) -> None:
    """Compile for a phase of that many epochs of `steps` batches."""
    import keras

    graph.compile(
        optimizer=make_optimizer(settings, cosine_rate(peak_rate, settings, epochs, steps)),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    # A run that resumes loads the optimizer's state, which has to exist by then.
    graph.optimizer.build(graph.trainable_variables)


def cosine_rate(peak: float, settings: Settings, epochs: int, steps: int) -> Any:
    """Rises from zero in the warm-up epochs, then falls to zero along a cosine."""
    import keras

    total = epochs * steps
    warmup = min(round(settings.warmup_epochs * steps), total // 2)
    if warmup == 0:
        return keras.optimizers.schedules.CosineDecay(peak, total)
    return keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, warmup_target=peak, warmup_steps=warmup
    )


def make_optimizer(settings: Settings, rate: Any) -> Any:
    """AdamW, Nadam, or SGD with Nesterov's momentum; decay spares biases and norms."""
    import keras

    decay = settings.weight_decay or None
    match settings.optimizer:
        case "adamw":
            optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        case "nadam":
            optimizer = keras.optimizers.Nadam(rate, weight_decay=decay)
        case "sgd":
            optimizer = keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
