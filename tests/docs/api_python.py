"""`docs/api-python.md`: the page of the Python client's names, from their code and docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

from percolator import client

HEAD = """# The Python client

Every name of `percolator.client`, from its code. [Clients](clients.md#in-python) shows how to use
it. The package has types.
"""
ON_ONE_LINE = 3
Definition = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """Write the page."""
    found = {name: node for node in _statements() if (name := _name(node)) in client.__all__}
    parts = [HEAD]
    for name in ["follow", *(each for each in client.__all__ if each != "follow")]:
        parts += [f"## {name}\n", *_section(found[name])]
    return "\n".join(parts)


def _statements() -> Iterator[ast.stmt]:
    """Yield what the files of the package define."""
    for path in sorted(Path(client.__file__).parent.glob("*.py")):
        yield from ast.parse(path.read_text()).body


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return node.name if isinstance(node, ast.ClassDef | ast.FunctionDef) else ""


def _section(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef():
            yield from _class(node)
        case ast.FunctionDef():
            yield from _function(node)
        case ast.Assign():
            yield _code(ast.unparse(node))
        case _:
            raise AssertionError(node)


def _class(node: ast.ClassDef) -> Iterator[str]:
    fields = [ast.unparse(each) for each in node.body if isinstance(each, ast.AnnAssign)]
    if fields:
        yield _code("\n    ".join([f"class {node.name}:", *fields]))
    yield f"{ast.get_docstring(node)}\n"
    for each in node.body:
        if isinstance(each, Definition) and not each.name.startswith("_"):
            yield f"### {node.name}.{each.name}\n"
            yield from _function(each)


def _function(node: Definition) -> Iterator[str]:
    is_property = any(ast.unparse(each) == "property" for each in node.decorator_list)
    returns = ast.unparse(node.returns) if node.returns else "None"
    if is_property:
        yield _code(f"{node.name}: {returns}")
    else:
        word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        yield _code(f"{word} {node.name}({_parameters(node.args)}) -> {returns}: ...")
    yield f"{ast.get_docstring(node)}\n"


def _parameters(arguments: ast.arguments) -> str:
    """Write the parameters without `self`: on lines of their own, if there are many."""
    positional = [each for each in arguments.args if each.arg not in ("self", "cls")]
    defaults: list[ast.expr | None] = [*arguments.defaults]
    texts = [
        _parameter(each, default)
        for each, default in zip(
            positional, [None] * (len(positional) - len(defaults)) + defaults, strict=True
        )
    ]
    texts += ["*"] * bool(arguments.kwonlyargs)
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    texts += [_parameter(each, default) for each, default in keywords]
    line = ", ".join(texts)
    if len(texts) <= ON_ONE_LINE:
        return line
    return "".join(f"\n    {each}," for each in texts) + "\n"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def _code(text: str) -> str:
    quoted = text.replace("'", '"')  # as the formatter has it
    return f"```python\n{quoted}\n```\n"
