"""The rules of the house, read from the source."""

import ast
import inspect
import re

import pytest

import fastconv
from tests.helpers import PACKAGE

FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=IDS)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# A module may import its siblings and what stands before it.
ROOMS = (
    "errors",
    "parameters",
    "dtypes",
    "memory",
    "activations",
    "geometry",
    "geometry_special",
    "planes",
    "dialects",
    "fields",
    "problem",
    "bounds",
    "kernels",
    "lowering",
    "algorithms",
    "plan",
    "ops",
    "nn",
    "dropin",
    "reference",
    "about",
    "__init__",
    "cli",
    "__main__",
)
NOT_FOR_KERNELS = {"parameters", "geometry", "geometry_special", "planes", "dialects", "fields"}
NOT_FOR_KERNELS |= {"problem", "bounds"}
FOR_DROP_INS = {"errors", "parameters", "dtypes", "ops", "nn", "dropin"}
DECORATORS = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "generated_jit"}
FILE_LINES, FUNCTION_LINES = 400, 60


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(tree):
    """Every absolute module that a file imports, anywhere in it, with the names taken from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield node.module, alias.name


def imported_rooms(tree):
    for module, name in imported(tree):
        parts = module.split(".")
        if parts[0] != "fastconv":
            continue
        if len(parts) > 1:
            yield parts[1]
        elif name in ROOMS:
            yield name
        else:
            yield "__init__"


def docstring_lines(node):
    body = getattr(node, "body", None)
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        text = body[0]
        if isinstance(text.value.value, str):
            return text.end_lineno - text.lineno + 1
    return 0


def definitions(tree):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


@EACH_FILE
def test_every_file_is_in_a_room(path):
    assert room_of(path) in ROOMS


@EACH_FILE
def test_imports_point_down(path):
    room = room_of(path)
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    if room == "kernels":
        allowed -= NOT_FOR_KERNELS
    assert set(imported_rooms(TREES[path])) <= allowed


def test_drop_ins_import_the_operators_only():
    for path in (PACKAGE / "dropin").rglob("*.py"):
        assert set(imported_rooms(TREES[path])) <= FOR_DROP_INS, path


@EACH_FILE
def test_only_the_command_imports_drop_ins(path):
    if room_of(path) not in ("dropin", "cli", "__main__"):
        assert "dropin" not in set(imported_rooms(TREES[path]))


def test_the_import_check_sees_imports():
    rooms = {room_of(path): set() for path in FILES}
    for path in FILES:
        rooms[room_of(path)] |= set(imported_rooms(TREES[path]))
    assert "problem" in rooms["plan"] | rooms["ops"]
    assert set(imported_rooms(ast.parse("from fastconv import parameters"))) == {"parameters"}
    assert set(imported_rooms(ast.parse("def f():\n import fastconv.ops.conv"))) == {"ops"}
    assert set(imported_rooms(ast.parse("import fastconv as F"))) == {"__init__"}


@EACH_FILE
def test_numba_is_imported_in_kernels_only(path):
    roots = {module.split(".")[0] for module, _ in imported(TREES[path])}
    if room_of(path) != "kernels":
        assert "numba" not in roots


@EACH_FILE
def test_numba_decorators_are_in_one_file(path):
    if path == PACKAGE / "kernels" / "jit.py":
        return
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert not (node.value.id in ("numba", "nb") and node.attr in DECORATORS)
    for module, name in imported(TREES[path]):
        assert not (module.split(".")[0] == "numba" and name in DECORATORS)


@EACH_FILE
def test_scipy_and_torch_are_not_imported_by_the_engine(path):
    if room_of(path) not in ("nn", "cli", "__main__"):
        roots = {module.split(".")[0] for module, _ in imported(TREES[path])}
        if path.name == "fft.py":  # whose transforms are as good as any; at first use only
            roots -= {"scipy"}
        assert not roots & {"scipy", "torch", "onnxruntime", "typer", "rich", "matplotlib"}


@EACH_FILE
def test_no_assert_and_no_print(path):
    for node in ast.walk(TREES[path]):
        assert not isinstance(node, ast.Assert), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "exit", "quit"), node.lineno


@EACH_FILE
def test_the_engine_does_not_exit(path):
    if room_of(path) not in ("cli", "__main__"):
        for node in ast.walk(TREES[path]):
            assert not (isinstance(node, ast.Attribute) and node.attr in ("exit", "_exit"))
            assert not (isinstance(node, ast.Name) and node.id == "SystemExit")


@EACH_FILE
def test_files_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    lines -= docstring_lines(TREES[path])
    lines -= sum(docstring_lines(node) for node in definitions(TREES[path]))
    assert lines <= FILE_LINES


@EACH_FILE
def test_functions_are_short(path):
    for node in definitions(TREES[path]):
        if not isinstance(node, ast.ClassDef):
            length = node.end_lineno - node.lineno + 1 - docstring_lines(node)
            assert length <= FUNCTION_LINES, node.name


@EACH_FILE
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(TREES[path])


PUBLIC = [getattr(fastconv, name) for name in fastconv.__all__]
FUNCTIONS = pytest.mark.parametrize(
    "function", [f for f in PUBLIC if inspect.isfunction(f)], ids=lambda f: f.__name__
)


def sections(function):
    """The sections of a numpydoc docstring, by title."""
    text = inspect.getdoc(function)
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-+$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@FUNCTIONS
def test_public_functions_are_documented(function):
    found = sections(function)
    assert "Examples" in found
    assert ">>>" in found["Examples"]
    assert found.keys() & {"Returns", "Yields"}
    if inspect.signature(function).parameters:
        assert {"Parameters", "Raises"} <= found.keys()


@FUNCTIONS
def test_documented_parameters_are_those_of_the_signature(function):
    documented = []
    for line in sections(function).get("Parameters", "").splitlines():
        if line and not line.startswith(" "):
            documented += [name.strip(" *") for name in line.partition(" : ")[0].split(",")]
    assert sorted(documented) == sorted(inspect.signature(function).parameters)


@FUNCTIONS
def test_documented_errors_exist(function):
    for line in sections(function).get("Raises", "").splitlines():
        if line and not line.startswith(" "):
            for name in line.split(","):
                assert issubclass(getattr(fastconv, name.strip()), fastconv.FastconvError)


@FUNCTIONS
def test_every_parameter_and_result_is_typed(function):
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
