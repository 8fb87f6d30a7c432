"""Any other machine: ARM boards without a file of their own, and what else runs Linux."""

from edgecnn.targets.board.machine import Machine
from edgecnn.targets.board.target import Target


class Generic(Target):
    """A machine we know nothing more about. LiteRT has the widest int8 support on ARM."""

    name = "generic"
    runtimes = ("litert", "onnxruntime", "openvino")

    @classmethod
    def recognise(cls, machine: Machine) -> bool:  # noqa: ARG003
        """Every machine; it is asked last."""
        return True


TARGET = Generic
