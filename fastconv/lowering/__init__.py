"""Moves values between an input and its windows or columns; computes nothing (col2im adds).

Everything here takes arrays, integers and `Axis` records (seven integers each).
"""
