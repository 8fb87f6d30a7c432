"""What is exported: a Keras model with its labels, preprocessing and the origin of its weights."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecnn import checkpoint as checkpoints
from edgecnn import zoo
from edgecnn.bundle import Weights
from edgecnn.checkpoint import Checkpoint
from edgecnn.errors import ExportError, MissingExtra, WeightsError, WeightsUnavailable, require
from edgecnn.export.front import scales_pixels
from edgecnn.export.keras_file import SUFFIXES, read_model, weights_of
from edgecnn.export.lowering import functional_of, lower
from edgecnn.export.twin import in_float32
from edgecnn.file_array import Images
from edgecnn.graph import Graph
from edgecnn.labels import checked
from edgecnn.preprocessing import NAMED, Preprocessing
from edgecnn.shell import typed

if TYPE_CHECKING:
    import keras

RANDOM_SEED = 0
"""Random weights are the same at each export, so that two exports can be compared."""
BATCH = 8
MANY = 32
"""Pictures from which on compiling the model takes less time than it saves."""
IN_MEMORY = "a Keras model in memory"


@dataclass(frozen=True)
class Network:
    """A classifier ready to be exported."""

    model: "keras.Model"
    architecture: str
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None
    """None: numbers do, or ImageNet's names."""
    weights: Weights
    checkpoint: Checkpoint | None = None
    notes: tuple[str, ...] = ()
    """What the user should know about how it was found."""
    output: int = 0
    """Which of the model's outputs is exported, by its place."""
    file: Path | None = None
    """Where the model was read from, if it was."""

    @cached_property
    def graph(self) -> Graph:
        """The network as lowered from Keras."""
        with in_float32(self.model):
            return replace(lower(self.model, output=self.output), name=self.architecture)

    def answers(self, images: Images) -> NDArray[np.float32]:
        """See `answers`."""
        call = self._as_graph if len(images) >= MANY else None
        return answers(self.model, self.preprocessing, images, self.output, call)

    @cached_property
    def _as_graph(self) -> Callable[[Any], Any]:
        """The model as TensorFlow compiles it: five times faster once that is done, or more."""
        import tensorflow as tf

        return tf.function(lambda given: self.model(given, training=False))  # type: ignore[no-any-return]

    def labels_for(self, outputs: int, binary: bool) -> tuple[str, ...]:
        """Its labels, which must be as many as a head of so many outputs has."""
        if self.labels is None:
            return ("no", "yes") if binary else _published_labels(outputs)
        fitting = (1, 2) if binary else (outputs,)
        if len(self.labels) not in fitting:
            wanted = f"{outputs} labels, one for each in their order"
            if binary:
                wanted = (
                    "two labels, the first for 0 and the second for 1, or one that holds or not"
                )
            raise ExportError(
                f"{self.architecture} has {len(self.labels)} labels and gives {outputs} value(s): "
                f"that takes {wanted}."
            )
        return self.labels


def answers(
    model: "keras.Model",
    preprocessing: Preprocessing,
    images: Images,
    output: int = 0,
    call: Callable[[Any], Any] | None = None,
) -> NDArray[np.float32]:
    """What a Keras model itself gives in float32 for uint8 pictures (count, H, W, C).

    (count, values), as they are: nothing of what export does to a network is in between. `call`
    stands for the model, with the same answers.
    """
    call = call or partial(model, training=False)
    batch = model.inputs[0].shape[0] or max(1, min(BATCH, len(images)))
    batches = []
    with in_float32(model):
        for start in range(0, len(images), batch):
            given = images[start : start + batch]
            short = batch - len(given)  # a batch of another size would be compiled by itself
            given = np.concatenate([given, np.repeat(given[-1:], short, axis=0)])
            pictures = preprocessing.normalise(given)
            try:
                result = _chosen(call(_as_expected(model, pictures)), output)
            except Exception as error:  # whatever its layers raise
                raise ExportError(
                    f"{model.name} fails in Keras on {batch} picture(s) at once "
                    f"({type(error).__name__}): if it takes one at a time, build it with "
                    "keras.Input(batch_shape=(1, height, width, channels))."
                ) from error
            batches.append(np.asarray(result, np.float32))
    return np.concatenate(batches).reshape(len(batches) * batch, -1)[: len(images)]


def _as_expected(model: "keras.Model", pictures: Any) -> Any:
    """The one input in the list or dictionary in which a model was made to take it."""
    import keras

    structure = functional_of(model)._inputs_struct
    return keras.tree.pack_sequence_as(structure, [pictures])


def _chosen(result: Any, output: int) -> Any:
    import keras

    return keras.tree.flatten(result)[output]


def of_model(
    model: "keras.Model",
    preprocessing: Preprocessing | str | None,
    labels: Sequence[str] | None,
    *,
    input_shape: Sequence[int] | None = None,
    output: str | int | None = None,
    name: str | None = None,
    file: Path | None = None,
    weights: Weights | None = None,
) -> Network:
    """A Keras model of the user's own.

    `preprocessing` may be a name of `NAMED`; None where the model scales raw pixels itself.
    `input_shape` (height, width[, channels]) is for a model that takes any. Raises `ExportError`
    where what only its author knows was not given.
    """
    name = f"{name or model.name}-{output}" if isinstance(output, str) else name or model.name
    _refuse_what_is_no_float_network(model, name)
    if isinstance(preprocessing, Preprocessing) and input_shape is None:
        input_shape = preprocessing.shape[1:]
    place = _place_of(output, model, name)
    model = _of_fixed_size(model, input_shape, name)
    height, width, channels = model.inputs[0].shape[1:]
    if channels not in (1, 3):
        raise ExportError(
            f"{name} takes pictures of {channels} channels: a camera gives one or three."
        )
    if isinstance(preprocessing, str):
        preprocessing = Preprocessing.named(preprocessing, height, width, channels)
    network = Network(
        model,
        name,
        preprocessing or Preprocessing.named("raw", height, width, channels),
        None if labels is None else checked(labels),
        weights or Weights("trained", IN_MEMORY, weights_sha256(model)),
        output=place,
        file=file,
    )
    if labels is None and model.outputs[place].shape[-1] not in (1, 1000):
        note = (
            f"{name} has no labels, so that its answers are 'class 0', 'class 1' and so on: "
            "--labels FILE, or labels= in Python, names them."
        )
        network = replace(network, notes=(note,))
    itself = scales_pixels(network.graph)
    if preprocessing is None and not itself:
        raise ExportError(
            f"How {name} wants its pixels is not in the model: say it with --preprocessing "
            f"{'|'.join(NAMED)} (-1..1 for most of keras.applications, 0..1 where training divided "
            "by 255, raw where it takes them as they are), or preprocessing= in Python."
        )
    if preprocessing is not None and itself and not preprocessing.is_raw:
        note = (
            f"{name} scales its pixels itself and is given pixels that were scaled before: "
            "--preprocessing raw, unless training did both."
        )
        network = replace(network, notes=(*network.notes, note))
    return network


def _refuse_what_is_no_float_network(model: "keras.Model", name: str) -> None:
    if not model.built:
        raise ExportError(
            f"{name} has no weights yet, since it was never called: train it, or build it with "
            "model.build((None, height, width, channels))."
        )
    if functional_of(model) is None:
        lower(model)  # says why not
    quantised = [layer.name for layer in model._flatten_layers() if _is_quantised(layer)]
    if quantised:
        raise ExportError(
            f"{name} was quantised by Keras ('{quantised[0]}' for one): export the float network, "
            "of which int8 is made here."
        )


def _is_quantised(layer: Any) -> bool:
    return getattr(layer, "quantization_mode", None) is not None


def weights_sha256(model: "keras.Model") -> str:
    """SHA-256 over the values of a model's weights."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _of_fixed_size(
    model: "keras.Model", input_shape: Sequence[int] | None, name: str
) -> "keras.Model":
    import keras

    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 2 and None not in shapes[0]:
        # Grey pictures without an axis for their one channel, as in many a tutorial.
        picture = keras.Input((*shapes[0], 1))
        flat = keras.layers.Reshape(shapes[0])(picture)
        return keras.Model(picture, model(flat), name=model.name)
    if len(shapes) == 1 and len(shapes[0]) == 3 and _channels_in_front(shapes[0]):
        # As in what was converted from PyTorch.
        channels, height, width = shapes[0]
        picture = keras.Input((height, width, channels))
        turned = keras.layers.Permute((3, 1, 2))(picture)
        return keras.Model(picture, model(turned), name=model.name)
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise ExportError(
            f"{name} has {len(shapes)} input(s) of shape {', '.join(map(str, shapes))}: a "
            "classifier has one, a picture (height, width, channels)."
        )
    own = tuple(model.inputs[0].shape[1:])
    given = (*input_shape, own[2] or 3)[:3] if input_shape is not None else own
    if None in given:
        raise ExportError(
            f"{name} takes pictures of any size, an artifact of one: --input 224x224, or "
            "input_shape=(224, 224, 3) in Python."
        )
    if any(have not in (None, wanted) for have, wanted in zip(own, given, strict=True)):
        raise ExportError(f"{name} takes {own} (height, width, channels), and {given} was given.")
    if None not in own:
        return model
    picture = keras.Input(given, dtype=model.inputs[0].dtype)
    return keras.Model(picture, model(picture), name=model.name)


def _channels_in_front(shape: Sequence[int | None]) -> bool:
    return shape[0] in (1, 3) and None not in shape and shape[2] not in (1, 3)


def _place_of(output: str | int | None, model: "keras.Model", name: str) -> int:
    """Which output is meant, by name or place; there must be one if none is."""
    import keras

    functional = functional_of(model)
    places = [path for path, _ in keras.tree.flatten_with_path(functional._outputs_struct)]
    names = [
        path[-1] if path and isinstance(path[-1], str) else own
        for path, own in zip(places, functional.output_names, strict=True)
    ]
    if isinstance(output, int) and -len(names) <= output < len(names):
        return output % len(names)
    if output in names:
        return names.index(output)
    if output is not None:
        raise ExportError(f"{name} has no output '{output}': it has {', '.join(names)}.")
    if len(names) > 1:
        raise ExportError(
            f"{name} has {len(names)} outputs, and a bundle is one classifier: choose one with "
            f"--output ({', '.join(names)})."
        )
    return 0


def of_checkpoint(checkpoint: Checkpoint) -> Network:
    """A finished training run."""
    return Network(
        checkpoint.load_model(),
        checkpoint.architecture,
        checkpoint.preprocessing,
        checkpoint.labels,
        checkpoint.weights(),
        checkpoint,
    )


def given(
    model: "str | Path | keras.Model | Network", weights: str = "auto", **options: Any
) -> Network:
    """What a user named or holds in memory; the options are those of `find` and `of_model`."""
    if isinstance(model, Network):
        return model
    if isinstance(model, str | Path):
        return find(model, weights, **options)
    keras = require("keras", what="Export", package="Keras", extra="export")
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"Export takes a Keras model, a file of one or a network's name, not a "
            f"{type(model).__module__}.{type(model).__name__}."
        )
    return of_model(model, **options)


def find(
    what: str | Path,
    weights: str = "auto",
    *,
    preprocessing: Preprocessing | str | None = None,
    labels: Sequence[str] | None = None,
    input_shape: Sequence[int] | None = None,
    output: str | None = None,
) -> Network:
    """The network a user named: a checkpoint, a Keras file, or an architecture with `weights`.

    `weights` is `auto`, `imagenet`, `random` or a file. `auto` takes the newest finished training
    run of the architecture under `runs/`, else pretrained weights (installed, cached, or
    downloaded), else random ones, and says in `notes` why. The rest is for a Keras file: see
    `of_model`.
    """
    # A folder that happens to be called resnet34 does not hide the network.
    path = Path(what)
    if str(what) not in zoo.names() and (
        path.exists() or path.suffix in SUFFIXES or len(path.parts) > 1
    ):
        if is_checkpoint(path):
            found = of_checkpoint(Checkpoint.load(path))
            _reject_options(str(what), preprocessing, input_shape, output)
            return found if labels is None else replace(found, labels=checked(labels))
        return of_model(
            read_model(path),
            preprocessing,
            labels,
            input_shape=input_shape,
            output=output,
            name=path.stem,
            file=path,
            weights=weights_of(path),
        )
    entry = zoo.get(str(what))
    require("keras", what="Export", package="Keras", extra="export")
    _reject_options(str(what), preprocessing, input_shape, output)
    found = _of_architecture(entry, weights)
    return found if labels is None else replace(found, labels=checked(labels))


def is_checkpoint(path: Path) -> bool:
    """Whether a path is a training run, or the model in one."""
    if path.is_dir():
        return (path / checkpoints.MANIFEST).is_file() or (path / checkpoints.MODEL).is_file()
    return path.name == checkpoints.MODEL and (path.parent / checkpoints.MANIFEST).is_file()


def model_at(path: Path, input_shape: Sequence[int] | None = None) -> tuple["keras.Model", str]:
    """The Keras model of a checkpoint or Keras file, and what it is called."""
    if is_checkpoint(path):
        checkpoint = Checkpoint.load(path)
        return checkpoint.load_model(), checkpoint.architecture
    return _of_fixed_size(read_model(path), input_shape, path.stem), path.stem


def _reject_options(what: str, *given: Any) -> None:
    if any(value is not None for value in given):
        raise ExportError(
            f"{what} knows its own preprocessing, input and output: --preprocessing, --input and "
            "--output are for a Keras file of your own."
        )


def _of_architecture(entry: zoo.Architecture, weights: str) -> Network:
    if weights == "random":
        return _random(entry)
    if weights == "auto":
        run = checkpoints.newest(entry.name)
        if run is not None:
            return of_checkpoint(run)
        try:
            return _pretrained(entry, "imagenet")
        except (WeightsUnavailable, MissingExtra) as reason:
            return _random(entry, str(reason))
    return _pretrained(entry, weights)


def _pretrained(entry: zoo.Architecture, weights: str) -> Network:
    model, origin = zoo.build_with_weights(entry.name, weights=weights)
    if origin is None:
        raise WeightsError(f"'{weights}' gave no weights for {entry.name}.")
    return Network(model, entry.name, entry.preprocessing, _published_labels(entry.classes), origin)


def _random(entry: zoo.Architecture, reason: str = "") -> Network:
    import keras

    keras.utils.set_random_seed(RANDOM_SEED)
    model = zoo.build(entry.name)
    note = (
        f"{entry.name} has random weights: its predictions mean nothing, while latency and memory "
        f"are real. Train it (`{typed('edgecnn', 'train', entry.name, '--data', 'DIR')}`) or give "
        "--weights FILE."
    )
    return Network(
        model,
        entry.name,
        entry.preprocessing,
        _published_labels(entry.classes),
        Weights("random", f"He-initialised, seed {RANDOM_SEED}", ""),
        notes=(note, *((f"No pretrained weights: {reason}",) if reason else ())),
    )


def _published_labels(classes: int) -> tuple[str, ...]:
    if classes == 1000:
        from edgecnn.weights import imagenet_labels

        try:
            return tuple(imagenet_labels())
        except MissingExtra:
            pass  # names are a comfort: the class numbers below are right without them
    return tuple(f"class {index}" for index in range(classes))
