"""Reading OpenVINO's intermediate representation: `.xml`, without its `.bin`.

The file's order is a topological one. It is read with the standard library's parser, which
expands no external entities.
"""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

from edgecnn.artifacts import fusion
from edgecnn.artifacts.description import Description, Dtype, Step
from edgecnn.errors import BundleError

BYTES = {"U8": 1, "I8": 1, "BOOL": 1, "FP16": 2, "BF16": 2, "FP32": 4, "I32": 4, "I64": 8}
DTYPES: dict[str, Dtype] = {"i8": "int8", "u8": "int8", "f16": "fp16", "f32": "fp32"}
VIEWS = ("FakeQuantize", "Convert", "Reshape", "Squeeze", "Unsqueeze")
IN_PLACE = ("ReLU", "Clamp", "PReLU", "Sigmoid", "Tanh", "Elu", "HSwish", "HSigmoid", "Swish")
ARITHMETIC = ("Add", "Multiply", "Subtract", "Divide")
"""In place where all but one input are constants: OpenVINO's biases and scales."""
WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")
INT8_LEVELS = 256


def describe(path: Path) -> Description:
    """The graph of an IR file; see `edgecnn.artifacts.describe`."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise BundleError(f"{path} is no OpenVINO model: {error}") from None
    if root.tag != "net":
        raise BundleError(f"{path} is no OpenVINO model: it holds a <{root.tag}>.")
    return _Reader(root).describe()


class _Reader:
    def __init__(self, root: ET.Element) -> None:
        self.layers = list(root.iterfind("layers/layer"))
        self.reads: dict[str, list[str]] = {}
        for edge in root.iterfind("edges/edge"):
            self.reads.setdefault(edge.attrib["to-layer"], []).append(edge.attrib["from-layer"])
        self.constants: dict[str, tuple[int, ...]] = {}
        self.names: dict[str, str] = {}

    def describe(self) -> Description:
        nodes: list[fusion.Node] = []
        stored: dict[Dtype | None, int] = {}
        output = ""
        for layer in self.layers:
            number, type = layer.attrib["id"], layer.attrib["type"]
            self.names[number] = layer.attrib["name"]
            reads = self.reads.get(number, [])
            if type == "Result":
                output = self.names[reads[0]]
            elif type == "Const":
                data = _data(layer)
                kind = DTYPES.get(data["element_type"])
                stored[kind] = stored.get(kind, 0) + int(data["size"])
                self.constants[number] = _shape(layer)
            elif reads and all(read in self.constants for read in reads):
                self.constants[number] = _shape(layer)
            else:
                nodes.append(self._node(layer, type, reads))
        known: dict[Dtype, int] = {kind: size for kind, size in stored.items() if kind}
        dtype: Dtype = max(known, key=lambda kind: known[kind], default="fp32")
        return fusion.describe(nodes, output, dtype, sum(stored.values()))

    def _node(self, layer: ET.Element, type: str, reads: list[str]) -> fusion.Node:
        name, data, shape = layer.attrib["name"], _data(layer), _shape(layer)
        fixed = [self.constants[read] for read in reads if read in self.constants]
        inputs = tuple(self.names[read] for read in reads if read not in self.constants)
        quantises = type == "FakeQuantize" and int(data["levels"]) <= INT8_LEVELS
        element = 1 if quantises else _element_bytes(layer)
        lone = type in ARITHMETIC and len(inputs) == 1
        parameters = macs = 0
        kernel = strides = None
        if fixed and (type in WEIGHTED or lone):
            parameters = sum(math.prod(one) for one in fixed)
        if fixed and type in WEIGHTED:
            weights = fixed[0]
            macs = math.prod(weights)
            if type != "MatMul":
                within = 2 if type == "GroupConvolution" else 1  # (groups, out, in, rows, columns)
                macs = math.prod(shape) * math.prod(weights[within:])
                kernel = (weights[-2], weights[-1])
                down, across = (int(step) for step in data["strides"].split(","))
                strides = (down, across)
        size = math.prod(shape) * element
        return fusion.Node(
            name=name,
            type=type,
            inputs=inputs,
            shape=shape,
            element_bytes=element,
            step=Step(
                name,
                "input" if type == "Parameter" else type,
                shape,
                size,
                parameters,
                macs,
                kernel,
                strides,
            ),
            view=type in VIEWS,
            in_place=type in IN_PLACE or lone,
        )


def _data(layer: ET.Element) -> dict[str, str]:
    found = layer.find("data")
    return {} if found is None else found.attrib


def _port(layer: ET.Element) -> ET.Element:
    port = layer.find("output/port")
    if port is None:
        raise BundleError(f"OpenVINO layer {layer.attrib['name']} has no output.")
    return port


def _shape(layer: ET.Element) -> tuple[int, ...]:
    sizes = [int(axis.text or 0) for axis in _port(layer).iterfind("dim")]
    if min(sizes, default=1) < 1:
        raise BundleError(f"{layer.attrib['name']} has no fixed shape: reshape the model first.")
    return tuple(sizes)


def _element_bytes(layer: ET.Element) -> int:
    precision = _port(layer).attrib["precision"]
    if precision not in BYTES:
        raise BundleError(f"OpenVINO's {precision} cannot be analysed.")
    return BYTES[precision]
