"""How a network is trained and run; knows no estimator and no kind of target."""
