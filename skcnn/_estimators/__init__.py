"""The estimators: what users construct."""
