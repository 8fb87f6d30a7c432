"""edgecnn: classic CNNs from Keras to int8 on the board, proven on the way.

Names are loaded when first used, so that a board needs no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and type checkers; to Python, `_HOME` says the same
    from edgecnn.analysis import RamAnalysis as RamAnalysis
    from edgecnn.analysis import analyze as analyze
    from edgecnn.bundle import Bundle as Bundle
    from edgecnn.calibration import calibrate as calibrate
    from edgecnn.calibration.calibration_set import CalibrationSet as CalibrationSet
    from edgecnn.charting.rows import Atlas as Atlas
    from edgecnn.charting.rows import atlas as atlas
    from edgecnn.checkpoint import Checkpoint as Checkpoint
    from edgecnn.choosing.choice import Choice as Choice
    from edgecnn.choosing.choice import choose as choose
    from edgecnn.comparison import compare as compare
    from edgecnn.errors import CheckFailed as CheckFailed
    from edgecnn.errors import EdgeCnnError as EdgeCnnError
    from edgecnn.export.evaluate import Evaluation as Evaluation
    from edgecnn.export.evaluate import evaluate as evaluate
    from edgecnn.export.pipeline import export as export
    from edgecnn.head import Head as Head
    from edgecnn.preprocessing import Preprocessing as Preprocessing
    from edgecnn.reliability import Coverage as Coverage
    from edgecnn.signature import PublicKey as PublicKey
    from edgecnn.signature import TrustedKeys as TrustedKeys
    from edgecnn.signing import sign as sign
    from edgecnn.signing import verify as verify
    from edgecnn.targets.answer import AnswerOptions as AnswerOptions
    from edgecnn.targets.classifier import Classifier as Classifier
    from edgecnn.targets.classifier import load as load
    from edgecnn.targets.deploy.deployment import deploy as deploy
    from edgecnn.targets.deploy.deployment import rollback as rollback
    from edgecnn.targets.deploy.evidence import Evidence as Evidence
    from edgecnn.targets.live.alarm.watch import AlarmOptions as AlarmOptions
    from edgecnn.targets.live.decisions.rule import DecisionRule as DecisionRule
    from edgecnn.targets.live.loop import LiveOptions as LiveOptions
    from edgecnn.targets.live.loop import classify as classify
    from edgecnn.targets.prediction import Prediction as Prediction
    from edgecnn.targets.profiling.profile import Profile as Profile
    from edgecnn.targets.profiling.profiler import profile as profile
    from edgecnn.targets.region import Region as Region
    from edgecnn.training import resume as resume
    from edgecnn.training import retrain as retrain
    from edgecnn.training import train as train
    from edgecnn.training import train_qat as train_qat
    from edgecnn.zoo import build as build

__version__ = "0.1.0"

_HOME = {
    "analyze": "edgecnn.analysis",
    "atlas": "edgecnn.charting.rows",
    "build": "edgecnn.zoo",
    "calibrate": "edgecnn.calibration",
    "choose": "edgecnn.choosing.choice",
    "classify": "edgecnn.targets.live.loop",
    "compare": "edgecnn.comparison",
    "deploy": "edgecnn.targets.deploy.deployment",
    "evaluate": "edgecnn.export.evaluate",
    "load": "edgecnn.targets.classifier",
    "profile": "edgecnn.targets.profiling.profiler",
    "resume": "edgecnn.training",
    "retrain": "edgecnn.training",
    "rollback": "edgecnn.targets.deploy.deployment",
    "sign": "edgecnn.signing",
    "train": "edgecnn.training",
    "train_qat": "edgecnn.training",
    "verify": "edgecnn.signing",
    "AlarmOptions": "edgecnn.targets.live.alarm.watch",
    "Atlas": "edgecnn.charting.rows",
    "AnswerOptions": "edgecnn.targets.answer",
    "Bundle": "edgecnn.bundle",
    "CalibrationSet": "edgecnn.calibration.calibration_set",
    "CheckFailed": "edgecnn.errors",
    "Checkpoint": "edgecnn.checkpoint",
    "Choice": "edgecnn.choosing.choice",
    "Classifier": "edgecnn.targets.classifier",
    "Coverage": "edgecnn.reliability",
    "DecisionRule": "edgecnn.targets.live.decisions.rule",
    "EdgeCnnError": "edgecnn.errors",
    "Evaluation": "edgecnn.export.evaluate",
    "Evidence": "edgecnn.targets.deploy.evidence",
    "Head": "edgecnn.head",
    "LiveOptions": "edgecnn.targets.live.loop",
    "Prediction": "edgecnn.targets.prediction",
    "Preprocessing": "edgecnn.preprocessing",
    "Profile": "edgecnn.targets.profiling.profile",
    "PublicKey": "edgecnn.signature",
    "RamAnalysis": "edgecnn.analysis",
    "Region": "edgecnn.targets.region",
    "TrustedKeys": "edgecnn.signature",
}
__all__ = [*_HOME, "export", "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "export":
        return importlib.import_module("edgecnn.export")  # callable, see there
    if name not in _HOME:
        raise AttributeError(f"module 'edgecnn' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
