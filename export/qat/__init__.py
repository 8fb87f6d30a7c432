"""Quantisation-aware training's part of export: the integers of a network, learning.

`network.py` computes a `Quantised` in TensorFlow and learns it, `compute.py` what an operator does
and `fake_quantise.py` how it rounds; `stored.py` keeps what was learned in a file, from which
`export` writes it as it is.
"""
