"""Text to YAML values: plain data alone, never objects, and never more of it than a person would write."""

from __future__ import annotations

from typing import Any

import yaml

from onestroke.errors import because

# Of a file of settings. Aliases let a few lines stand for billions of values: each is counted as often as it is used.
MOST_BYTES, MOST_VALUES = 1_000_000, 100_000


class _Loader(yaml.SafeLoader):
    """SafeLoader, without dates: a title such as 1889-06-01 is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(text: str) -> Any:
    """The values in a YAML text. Raises yaml.YAMLError for whatever is wrong with it."""
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"longer than {MOST_BYTES:,} letters, which no settings are")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"its aliases stand for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:  # PyYAML itself checks little
        raise yaml.YAMLError(f"a value that its type cannot hold ({because(error)})") from None
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; `known` holds the nodes seen, 0 while they are counted."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.YAMLError("an alias inside of what it stands for")
        return known[id(node)]
    known[id(node)] = 0
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    flat = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
    known[id(node)] = 1 + sum(_count(part, known) for part in flat)
    return known[id(node)]
