"""Targets: boards, engines, frame sources, the live loop and the profiler."""
