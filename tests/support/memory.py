"""What a process remembers, read from outside; for root."""

from mailbench import Skip, sanitizer


def writable_memory(pid):
    """What the process could have written: its heap, stacks, data; not files that it maps."""
    if sanitizer():
        raise Skip("a sanitizer's heap keeps what was freed, and does not wipe it")
    pieces = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if "w" not in rights or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                pieces.append(memory.read(end - start))
            except (OSError, OverflowError):
                pass
    return b"\n".join(pieces)
