"""Writes geo databases in the MaxMind DB format 2.0, with IPv4 networks that do not overlap.

    search tree: nodes of two 32-bit records    16 zeros    data: a map for each kind of network    metadata
    (a node's number; or none; or data)
"""

import struct
import time

UINT16, UINT32, UINT64 = 5, 6, 9
TEXT, MAP, ARRAY = 2, 7, 11
METADATA = b"\xab\xcd\xefMaxMind.com"
GAP = 16


def write(path, model, networks, records):
    """A database of a model, as `GeoLite2-Country`; networks are (first address, prefix length, name of a record)."""
    data, places = b"", {}
    for name, record in records.items():
        places[name] = len(data)
        data += encoded(record)
    nodes = tree(networks)
    pointers = {None: len(nodes)} | {name: len(nodes) + GAP + place for name, place in places.items()}
    found = [pointers.get(record, record) for node in nodes for record in node]
    metadata = {
        "node_count": (UINT32, len(nodes)),
        "record_size": (UINT16, 32),
        "ip_version": (UINT16, 4),
        "database_type": model,
        "languages": ["en"],
        "binary_format_major_version": (UINT16, 2),
        "binary_format_minor_version": (UINT16, 0),
        "build_epoch": (UINT64, int(time.time())),
        "description": {"en": "made for a benchmark"},
    }
    path.write_bytes(struct.pack(f"!{len(found)}I", *found) + bytes(GAP) + data + METADATA + encoded(metadata))


def tree(networks):
    """Nodes: what follows on a bit of 0 and of 1, the number of a node, the name of a record, or nothing."""
    nodes = [[None, None]]
    for start, length, name in networks:
        node = nodes[0]
        for bit in range(31, 32 - length, -1):
            side = start >> bit & 1
            if node[side] is None:
                node[side] = len(nodes)
                nodes.append([None, None])
            node = nodes[node[side]]
        node[start >> 32 - length & 1] = name
    return nodes


def encoded(value):
    """A value of the data section; numbers come with their type."""
    match value:
        case dict():
            return head(MAP, len(value)) + b"".join(encoded(key) + encoded(value[key]) for key in value)
        case list():
            return head(ARRAY, len(value)) + b"".join(map(encoded, value))
        case str():
            return head(TEXT, len(value)) + value.encode()
        case (kind, number):
            octets = number.to_bytes((number.bit_length() + 7) // 8)
            return head(kind, len(octets)) + octets


def head(kind, size):
    """The control octets: type and size below 29; types above 7 take a second octet."""
    assert size < 29
    return bytes([kind << 5 | size] if kind <= MAP else [size, kind - MAP])
