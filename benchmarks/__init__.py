"""Benchmarks over the layers of known networks; `report.py` writes the README from them."""
