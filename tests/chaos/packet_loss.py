"""Losing packets as a network does: the kernel drops them before TCP sees them (Linux)."""

import ctypes
import socket
import struct

_ATTACH_FILTER, _DETACH_FILTER = 26, 27  # SO_ATTACH_FILTER, SO_DETACH_FILTER
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # a BPF program of one instruction: return 0


def drop_packets(stream: socket.socket, begins: bool) -> None:
    """From now on whatever arrives for `stream` is dropped, unacknowledged, or no longer is."""
    if begins:
        program = ctypes.create_string_buffer(_DROP_ALL)
        packed = struct.pack("HL", 1, ctypes.addressof(program))
        stream.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, packed)
    else:
        stream.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)
