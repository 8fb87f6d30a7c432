"""An alarm when what the camera shows is no longer what the bundle's promises were made for.

Every promise of a bundle is for pictures like the held-out ones. The stream is held against them:
by how it looks (too dark, blurred, ...: the *camera*) and by what the network says of it (unsure,
unfamiliar, other labels: the *scene*). Frames resemble their neighbours, so that they are seen in
windows, the first half of which is passed over; the evidence is added up such that a false alarm
is as rare as was asked for (`evidence.py`). Two things that need no statistics are watched beside
it: a picture that stands still, and a fixed camera that shows another view (`view.py`).
"""

from edgecnn.targets.live.alarm.watch import AlarmOptions, Watch

__all__ = ["AlarmOptions", "Watch"]
