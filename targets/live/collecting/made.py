"""What a network made of a frame, as a direction: frames that it takes for alike are near."""

import numpy as np

from edgecnn.reliability import of_each
from edgecnn.targets.classifier import Classifier
from edgecnn.targets.live.collecting.seen import Values, direction
from edgecnn.targets.prediction import Prediction


def made_of(classifier: Classifier, prediction: Prediction) -> Values:
    """Features of the classifier's newest frame where it gives them, else its answer; length 1."""
    if classifier.features is not None:
        return direction(classifier.features)
    values = prediction.probabilities
    assert values is not None
    # Of these roots the length is 1, and the cosine tells how far two distributions overlap.
    return direction(np.sqrt(of_each(values, classifier.head)))
