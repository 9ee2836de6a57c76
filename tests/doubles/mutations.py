"""Ten ways to make a wrong program of a right one, by its syntax tree."""

import ast

SWAPPED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NEAR = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


def _operator(node):
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()
        return node


def _comparison(node):
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        node.ops[0] = SWAPPED[type(node.ops[0])]()
        return node


def _bound(node):
    if isinstance(node, ast.Compare) and type(node.ops[0]) in NEAR:
        node.ops[0] = NEAR[type(node.ops[0])]()
        return node


def _connective(node):
    if isinstance(node, ast.BoolOp):
        node.op = SWAPPED[type(node.op)]()
        return node


def _number(node):
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        node.value += 1
        return node


def _text(node):
    if isinstance(node, ast.Constant) and type(node.value) is str:
        node.value += "?"
        return node


def _condition(node):
    if isinstance(node, (ast.If, ast.IfExp)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return node


def _result(node):
    if isinstance(node, ast.Return):
        node.value = ast.Constant(None)
        return node


def _statement(node):
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)):
        return ast.Pass()


def _loop(node):
    if isinstance(node, (ast.For, ast.While)):
        node.body.append(ast.Break())
        return node


KINDS = {
    "operator": _operator, "comparison": _comparison, "bound": _bound, "connective": _connective, "number": _number,
    "text": _text, "condition": _condition, "result": _result, "statement": _statement, "loop": _loop,
}  # fmt: skip


def mutants(source, function):
    """Yield (kind, program) of the first place in the function where each kind of mutation can be made."""
    for kind, mutate in KINDS.items():
        tree = ast.parse(source)
        body = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function]
        if _first(body[-1], mutate):
            yield kind, ast.unparse(ast.fix_missing_locations(tree))


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _first(parent, mutate):
    """Mutate the first node under `parent` where it can be done; return whether there was one."""
    for name, value in ast.iter_fields(parent):
        if name in ("args", "returns", "annotation") and isinstance(parent, (ast.FunctionDef, ast.AnnAssign)):
            continue
        items = value if isinstance(value, list) else [value]
        for place, node in enumerate(items):
            if not isinstance(node, ast.AST) or _is_docstring(node):
                continue
            changed = mutate(node)
            if changed is not None:
                if isinstance(value, list):
                    value[place] = changed
                else:
                    setattr(parent, name, changed)
                return True
            if _first(node, mutate):
                return True
    return False
