"""What `fastconv demo NAME` can show, one file each.

A demo is a module with `NAME`, `HELP` and a function `run`, whose parameters are its options. To
add one, write it and name it in `DEMOS`. Libraries that are slow to import are imported in `run`.
"""

from fastconv.cli.demos import digit_nine, feature_maps, lenet, two_class

DEMOS = (feature_maps, digit_nine, two_class, lenet)
"""The demos, in the order in which help lists them."""
