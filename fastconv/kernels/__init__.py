"""Arithmetic on arrays and integers, compiled by Numba; knows no geometry object."""
