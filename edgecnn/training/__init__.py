"""Training: from labelled pictures to a checkpoint worth exporting."""

from edgecnn.training.qat import train_qat
from edgecnn.training.session import resume, retrain, train
from edgecnn.training.settings import Settings

__all__ = ["Settings", "resume", "retrain", "train", "train_qat"]
