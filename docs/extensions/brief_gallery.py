"""Let networks of the gallery train for two epochs, with sphinx-build -t brief.

Whether the examples run is then known within minutes; what they show is of networks that have
learned little.
"""

from skcnn._estimators._base import ConvNetEstimator


def setup(app):
    if app.tags.has("brief"):
        train = ConvNetEstimator._train

        def train_briefly(self, dataset, target, epochs, **options):
            return train(self, dataset, target, min(epochs, 2), **options)

        ConvNetEstimator._train = train_briefly
    return {"parallel_read_safe": True}
