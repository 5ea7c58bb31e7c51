"""Splitting an input into the phases of a stride, which a tile then reads without gaps."""

from fastconv.kernels.jit import kernel


@kernel
def split_phases(x, image, stride, phases, first, last):
    """image[n, c, p, i] = x[n, c, i * stride + phases[p]] for planes [first, last) of (n, c).

    x (N, C, D, H, W), image (N * C, phases, ID, IH, IW); places beyond the input stay as they are.
    `phases` (P, 3) are the first elements of each phase along the axes.
    """
    _, channels, depth, height, width = x.shape
    for plane in range(first, last):
        n, c = plane // channels, plane % channels
        for phase in range(phases.shape[0]):
            pd, ph, pw = phases[phase, 0], phases[phase, 1], phases[phase, 2]
            for d in range((depth - pd + stride[0] - 1) // stride[0]):
                for h in range((height - ph + stride[1] - 1) // stride[1]):
                    source = x[n, c, d * stride[0] + pd, h * stride[1] + ph]
                    copy_row(source, image[plane, phase, d, h], stride[2], pw, width)


@kernel
def copy_row(source, target, step, start, width):
    """Copy every `step`-th element; the common steps as constants, so that they vectorise."""
    count = (width - start + step - 1) // step
    if step == 1:
        for i in range(count):
            target[i] = source[i]
    elif step == 2:
        for i in range(count):
            target[i] = source[2 * i + start]
    else:
        for i in range(count):
            target[i] = source[step * i + start]
