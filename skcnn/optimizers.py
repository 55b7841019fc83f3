"""Optimizers with options of your choice, for the parameter `optimizer` of an estimator.

The names that `optimizer=` takes, such as "sgd", are these specifications with their defaults.
"""

from skcnn._engine._optimizers import SGD, Adam, AdamW, Muon, RMSprop

__all__ = ["SGD", "Adam", "AdamW", "Muon", "RMSprop"]
