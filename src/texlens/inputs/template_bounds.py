"""Which chat templates are bounded by their form alone; all others are rendered in a child process with limits.

A template is a program of the checkpoint's author. Qwen's own go over the messages once and over the parts of each
content once. That form is recognized here: no ranges, no recursion, no loop over a text, nothing that doubles one.
"""

from collections.abc import Iterable

from jinja2 import Environment, TemplateError, nodes

MESSAGES, TOOLS = "messages", "tools"
LISTS = ("content", "tool_calls")
"""Attributes of a message that are lists of parts, or absent."""
METHODS = ("strip", "lstrip", "rstrip", "startswith", "endswith", "split", "items", "get", "lower", "upper", "title")
FUNCTIONS = ("namespace", "raise_exception", "strftime_now")
FILTERS = ("trim", "length", "count", "string", "tojson", "first", "last", "default", "items", "lower", "upper", "int")
NODES = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Macro, nodes.Assign, nodes.Const),
    *(nodes.Name, nodes.NSRef, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call, nodes.Filter, nodes.Test),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Concat, nodes.CondExpr),
    *(
        nodes.List,
        nodes.Tuple,
        nodes.Dict,
        nodes.Pair,
        nodes.Keyword,
        nodes.Neg,
        nodes.Sub,
        nodes.Continue,
        nodes.Break,
    ),
)


def is_bounded(template: str) -> bool:
    """Whether its time and output grow no faster than the messages do; False where that can't be seen."""
    try:
        return _is_bounded(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template))
    except (TemplateError, RecursionError):
        return False


def _is_bounded(tree: nodes.Template) -> bool:
    macros = {macro.name: macro for macro in tree.find_all(nodes.Macro)}
    return (
        all(isinstance(node, NODES) for node in _all(tree))
        and all(_is_known_call(call, macros) for call in tree.find_all(nodes.Call))
        and all(part.name in FILTERS and not (part.args or part.kwargs) for part in tree.find_all(nodes.Filter))
        and all(_adds_a_constant(assignment) for assignment in tree.find_all(nodes.Assign))
        and not any(_called_names(macro) & macros.keys() for macro in macros.values())
        and not _assigned_names(tree) & _list_owners(tree)
        and all(_loops_are_bounded(macro.body, _first_argument(macro)) for macro in macros.values())
        and _loops_are_bounded(tree.body, None)
    )


def _all(node: nodes.Node) -> Iterable[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _all(child)


def _is_known_call(call: nodes.Call, macros: dict[str, nodes.Macro]) -> bool:
    """A macro's first argument is a content, which it may go over; the others are constants."""
    if isinstance(call.node, nodes.Getattr):
        return call.node.attr in METHODS
    if not isinstance(call.node, nodes.Name):
        return False
    if call.node.name not in macros:
        return call.node.name in FUNCTIONS
    others = [*call.args[1:], *(keyword.value for keyword in call.kwargs)]
    return bool(call.args) and _is_parts(call.args[0]) and all(isinstance(value, nodes.Const) for value in others)


def _adds_a_constant(assignment: nodes.Assign) -> bool:
    """A value that is joined from two texts could double with each assignment."""
    joined = (nodes.Add, nodes.Sub, nodes.Concat)
    joins = [node for node in _all(assignment.node) if isinstance(node, joined)]
    return all(isinstance(join, nodes.Add | nodes.Sub) and isinstance(join.right, nodes.Const) for join in joins)


def _called_names(macro: nodes.Macro) -> set[str]:
    return {call.node.name for call in macro.find_all(nodes.Call) if isinstance(call.node, nodes.Name)}


def _assigned_names(tree: nodes.Template) -> set[str]:
    targets = (node for assignment in tree.find_all(nodes.Assign) for node in _all(assignment.target))
    return {target.name for target in targets if isinstance(target, nodes.Name | nodes.NSRef)}


def _list_owners(tree: nodes.Template) -> set[str]:
    """Names that must stay messages: `messages`, and those whose content is gone over."""
    lists = [loop.iter for loop in tree.find_all(nodes.For)]
    lists += [argument for call in tree.find_all(nodes.Call) for argument in call.args]
    return {MESSAGES, TOOLS, *(owner for part in lists if (owner := _owner(part)))}


def _first_argument(macro: nodes.Macro) -> str:
    return macro.args[0].name if macro.args else ""


def _loops_are_bounded(body: Iterable[nodes.Node], argument: str | None, message: str | None = None) -> bool:
    """
    Args:
        argument: of a macro, the content that it is given; None outside of macros.
        message: the target of the loop over the messages that this body is in.
    """
    for node in body:
        if isinstance(node, nodes.For):
            inner = node.target.name if isinstance(node.target, nodes.Name) else None
            if node.recursive or not _is_bounded_iterable(node.iter, argument, message):
                return False
            target = None if argument is not None or message is not None else inner
            if not _loops_are_bounded([*node.body, *node.else_], "" if target is None else None, target):
                return False
        elif isinstance(node, nodes.If):
            if not _loops_are_bounded([*node.body, *node.elif_, *node.else_], argument, message):
                return False
        elif not isinstance(node, nodes.Macro) and list(node.find_all(nodes.For)):
            return False
    return True


def _is_bounded_iterable(iterable: nodes.Node, argument: str | None, message: str | None) -> bool:
    if isinstance(iterable, nodes.Getitem) and isinstance(iterable.arg, nodes.Slice):
        iterable = iterable.node
    if isinstance(iterable, nodes.Name):
        return iterable.name in ((MESSAGES, TOOLS) if argument is None and message is None else (argument,))
    return message is not None and _is_parts(iterable) and _owner(iterable) == message


def _is_parts(value: nodes.Node) -> bool:
    """`message.content`, `message['content']` or `messages[0].content`."""
    if isinstance(value, nodes.Getattr):
        return value.attr in LISTS and bool(_owner(value))
    is_named = isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Const) and value.arg.value in LISTS
    return is_named and bool(_owner(value))


def _owner(value: nodes.Node) -> str | None:
    """The name whose attribute it is."""
    if not isinstance(value, nodes.Getattr | nodes.Getitem):
        return None
    owner = value.node
    if isinstance(owner, nodes.Getitem) and isinstance(owner.arg, nodes.Const | nodes.Neg):
        owner = owner.node
        return MESSAGES if isinstance(owner, nodes.Name) and owner.name == MESSAGES else None
    return owner.name if isinstance(owner, nodes.Name) else None
