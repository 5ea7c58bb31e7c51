"""Reading compiled code: its loops, its vector instructions, its moves from and to the stack."""

import re
from dataclasses import dataclass

_LABEL = re.compile(r"^([.\w$@]+):")
_JUMP = re.compile(r"^\s+j\w+\s+([.\w$@]+)\s*$")
_VECTOR = re.compile(r"%([xyz])mm\d+")


@dataclass(frozen=True)
class Loop:
    """The instructions from a label to the last jump back to it, with no loop inside."""

    lines: tuple[str, ...]
    frame_pointer: bool

    def count(self, instruction, register):
        """How many instructions of a kind work on a kind of register."""
        return sum(
            line.split(None, 1)[0].startswith(instruction) and f"%{register}" in line
            for line in self.lines
        )

    @property
    def spills(self):
        """Instructions that move a vector register from or to the stack."""
        stack = r"\(%r[sb]p" if self.frame_pointer else r"\(%rsp"
        return [
            line.strip() for line in self.lines if _VECTOR.search(line) and re.search(stack, line)
        ]


def innermost_loops(assembly):
    """The loops of a module that hold no other loop."""
    lines = [line.split("##")[0].rstrip() for line in assembly.splitlines()]
    places = {}
    for number, line in enumerate(lines):
        label = _LABEL.match(line)
        if label:
            places[label[1]] = number
    ends = {}
    for number, line in enumerate(lines):
        jump = _JUMP.match(line)
        if jump and places.get(jump[1], number) < number:
            ends[places[jump[1]]] = number
    frame_pointer = bool(re.search(r"mov\w*\s+%rsp,\s*%rbp", assembly))
    spans = [
        (start, end)
        for start, end in ends.items()
        if not any(start < other < end for other in ends)
    ]
    return [
        Loop(
            tuple(line for line in lines[start : end + 1] if line.startswith((" ", "\t"))),
            frame_pointer,
        )
        for start, end in spans
    ]


def vector_widths(assembly):
    """The vector registers that a module names, of "x", "y" and "z"."""
    return {found[1] for found in _VECTOR.finditer(assembly)}
