"""Answers as `vision_msgs/msg/Classification` on a ROS 2 topic.

Written to the documented API of rclpy (Humble and later) and vision_msgs 4, and tried against
stand-ins for them only: there was no ROS 2 to try it on.
"""

import importlib
from typing import Any

from edgecnn.errors import EdgeCnnError
from edgecnn.targets.captured import Captured
from edgecnn.targets.prediction import Prediction

QUEUE = 1  # the newest answer is the one that counts
FRAME_ID = "camera"


class Ros2:
    """A node named `edgecnn` that publishes the best classes, stamped with the time of capture.

    The first is the answer; of labels that each hold or not, only those that do are sent.
    `class_id` is the label. Raises `EdgeCnnError` where ROS 2 is not set up.
    """

    def __init__(self, topic: str) -> None:
        self._rclpy, messages, stamps, signals = (
            _ros(name)
            for name in ("rclpy", "vision_msgs.msg", "builtin_interfaces.msg", "rclpy.signals")
        )
        self._message, self._hypothesis = messages.Classification, messages.ObjectHypothesis
        self._stamp = stamps.Time
        # SIGINT and SIGTERM are ours: they end the loop, which closes the outputs.
        self._rclpy.init(signal_handler_options=signals.SignalHandlerOptions.NO)
        self._node = self._rclpy.create_node("edgecnn")
        self._publisher = self._node.create_publisher(self._message, topic, QUEUE)

    def write(self, prediction: Prediction, captured: Captured) -> None:
        """Publish one answer."""
        message = self._message()
        seconds, fraction = divmod(captured.captured_at, 1)
        message.header.stamp = self._stamp(sec=int(seconds), nanosec=int(fraction * 1e9))
        message.header.frame_id = FRAME_ID
        said = prediction.top if prediction.held is None else prediction.held
        message.results = [
            self._hypothesis(class_id=top.label, score=top.probability) for top in said
        ]
        self._publisher.publish(message)

    def close(self) -> None:
        """Take the node down."""
        self._node.destroy_node()
        self._rclpy.shutdown()


def _ros(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".", maxsplit=1)[0].replace("_", "-")
        raise EdgeCnnError(
            f"--ros2 needs the Python module {module}: sudo apt install ros-$ROS_DISTRO-{package}, "
            "source /opt/ros/$ROS_DISTRO/setup.bash, and make the venv with --system-site-packages."
        ) from None
