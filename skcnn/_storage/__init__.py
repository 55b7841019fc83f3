"""Files without code: values as JSON, tensors as bytes, and a checksum over both."""
