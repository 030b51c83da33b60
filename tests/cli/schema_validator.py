"""The part of JSON Schema (draft 2020-12) that neuralfw's schemas use, written from the specification."""

import re

ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "format"}
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
}
LIMITS = {
    "minimum": lambda v, n: v >= n,
    "maximum": lambda v, n: v <= n,
    "exclusiveMinimum": lambda v, n: v > n,
    "exclusiveMaximum": lambda v, n: v < n,
}


class InvalidError(Exception):
    """The value does not fit the schema."""


def validate(schema, value):
    """Raise InvalidError if a value does not fit; KeyError if the schema uses a keyword that is not known here."""
    _check(schema, value, schema.get("$defs", {}), "")


def _check(schema, value, definitions, place):
    for keyword, rule in schema.items():
        if keyword not in ANNOTATIONS and not _holds(keyword, rule, schema, value, definitions, place):
            raise InvalidError(f"{place or 'the whole'}: {value!r} against {keyword} {rule!r}"[:300])


def _fits(schema, value, definitions, place):
    try:
        _check(schema, value, definitions, place)
    except InvalidError:
        return False
    return True


def _holds(keyword, rule, schema, value, definitions, place):
    if keyword in LIMITS:
        return not TYPES["number"](value) or LIMITS[keyword](value, rule)
    return KEYWORDS[keyword](rule, schema, value, definitions, place)


def _properties(rule, schema, value, definitions, place):
    for key in rule.keys() & value.keys() if isinstance(value, dict) else ():
        _check(rule[key], value[key], definitions, f"{place}.{key}")
    return True


def _additional(rule, schema, value, definitions, place):
    extra = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else set()
    if rule is False:
        return not extra
    for key in extra:
        _check(rule, value[key], definitions, f"{place}.{key}")
    return True


def _items(rule, schema, value, definitions, place):
    rest = value[len(schema.get("prefixItems", ())) :] if isinstance(value, list) else ()
    for item in rest:
        _check(rule, item, definitions, f"{place}[]")
    return True


def _either(rule, schema, value, definitions, place):
    chosen = schema.get("then" if _fits(rule, value, definitions, place) else "else", {})
    return _check(chosen, value, definitions, place) is None


def _prefix(rule, schema, value, definitions, place):
    return all(_fits(part, item, definitions, place) for part, item in zip(rule, value, strict=False))


KEYWORDS = {
    "$ref": lambda r, s, v, d, p: _check(d[r.removeprefix("#/$defs/")], v, d, p) is None,
    "type": lambda r, s, v, d, p: TYPES[r](v),
    "enum": lambda r, s, v, d, p: v in r,
    "const": lambda r, s, v, d, p: v == r,
    "anyOf": lambda r, s, v, d, p: any(_fits(part, v, d, p) for part in r),
    "allOf": lambda r, s, v, d, p: all(_check(part, v, d, p) is None for part in r),
    "if": _either,
    "then": lambda *_: True,
    "else": lambda *_: True,
    "not": lambda r, s, v, d, p: not _fits(r, v, d, p),
    "required": lambda r, s, v, d, p: not isinstance(v, dict) or {*r} <= v.keys(),
    "pattern": lambda r, s, v, d, p: not isinstance(v, str) or re.search(r, v) is not None,
    "minItems": lambda r, s, v, d, p: not isinstance(v, list) or len(v) >= r,
    "maxItems": lambda r, s, v, d, p: not isinstance(v, list) or len(v) <= r,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
}
