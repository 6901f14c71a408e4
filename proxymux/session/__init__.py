"""One client from accept to close, on real connections."""
