"""Profiling: latency and memory measured in processes of their own, beside what was predicted."""
