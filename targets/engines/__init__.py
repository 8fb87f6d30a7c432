"""Engines: what a runtime is, one file for each, and what is known of its time and memory."""
