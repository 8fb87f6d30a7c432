"""What can be exported, as a page of the documentation: `python -m edgecnn.export.supported`."""

from edgecnn.export.lowering import layers_with_rules
from edgecnn.export.primitives import known_primitives
from edgecnn.operators import FUNCTIONS, OPERATORS

PAGE = """\
# What can be exported

*Written by `python -m edgecnn.export.supported` from the code; a test holds it to that.*

A functional or `Sequential` Keras model with one input, a picture of one or three channels, and one
value for each label at the end of one output. Nested models, shared layers and layers of your own
are fine. What a network does with its pixels first (rescaling, normalisation, `preprocess_input`,
resizing, cropping) is part of the file; dropout, noise and augmentation are for training and left
out.

## Keras layers with a rule of their own

{layers}

## Everything else is opened

Any other layer or operation of Keras, and any layer of your own, is called once on stand-ins and
traced into TensorFlow's primitives. It is exported if it is made of these:

{primitives}

A layer that is made of something else is named in the error, with the primitive inside it. Not
exported: subclassed models (make them functional), `Lambda` layers (write a layer), channels-first
layers, SavedModels (save as `.keras`), and networks that Keras has quantised.

## Operators, and which compute in integers

An int8 export computes these in integers: as far as the engine has them so, which the summary says
by name. The others run in float between integers.

| operator | int8 | scale of its result |
|---|---|---|
{operators}

| function | int8 |
|---|---|
{functions}
"""
SCALES = {"own": "its own", "kept": "its input's", "shared": "one for all inputs and the result"}


def page() -> str:
    """The page, in Markdown."""
    return PAGE.format(
        layers=_listed(layers_with_rules()),
        primitives=_listed(known_primitives()),
        operators="\n".join(
            f"| `{name}` | {_yes(kind.int8)} | {SCALES[kind.scale] if kind.int8 else ''} |"
            for name, kind in OPERATORS.items()
            if name not in ("input", "affine", "requantise")
        ),
        functions="\n".join(
            f"| `{name}` | {_yes(function.int8)} |" for name, function in FUNCTIONS.items()
        ),
    )


def _yes(value: bool) -> str:
    return "yes" if value else "float"


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(page(), end="")
