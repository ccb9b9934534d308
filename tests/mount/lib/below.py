"""Where things lie in a lower file, by the arithmetic of FORMAT.md alone: no key is needed to break
something at the right place."""

import os

BLOCK = 4096
SLOT = 512
HEADER_ENTRIES = 48
GROUP = 64
FANOUT = 256
ENTRY = 64
SEAL = 32


def entry_page(block):
    """Number of the entry page that holds a block's entry."""
    return 0 if block < HEADER_ENTRIES else 1 + (block - HEADER_ENTRIES) // GROUP


def entry_page_offset(page):
    if page == 0:
        return 2 * SLOT
    group = page - 1
    start = (1 + HEADER_ENTRIES) * BLOCK
    per_node = BLOCK * (1 + FANOUT * (1 + GROUP))
    return start + (group // FANOUT) * per_node + BLOCK * (1 + (group % FANOUT) * (1 + GROUP))


def node_offset(node):
    return (1 + HEADER_ENTRIES) * BLOCK + node * BLOCK * (1 + FANOUT * (1 + GROUP))


def block_offset(block):
    if block < HEADER_ENTRIES:
        return BLOCK * (1 + block)
    page = entry_page(block)
    return entry_page_offset(page) + BLOCK * (1 + (block - HEADER_ENTRIES) % GROUP)


def entry_offset(block):
    page = entry_page(block)
    index = block if page == 0 else (block - HEADER_ENTRIES) % GROUP
    return entry_page_offset(page) + ENTRY * index


def cipher_len(size):
    return BLOCK if size == 0 else block_offset((size - 1) // BLOCK) + BLOCK + size % BLOCK


class Lower:
    """A lower file opened for mischief."""

    def __init__(self, path):
        self.path = path

    def get(self, offset, length):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return file.read(length)

    def put(self, offset, content):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(content)

    def flip(self, offset, bit=0):
        (byte,) = self.get(offset, 1)
        self.put(offset, bytes([byte ^ (1 << bit)]))

    def swap(self, a, b, length):
        first, second = self.get(a, length), self.get(b, length)
        self.put(a, second)
        self.put(b, first)

    def move(self, source, target, length):
        """Copies a piece over another."""
        self.put(target, self.get(source, length))

    def cut(self, length):
        os.truncate(self.path, length)

    def size(self):
        return os.stat(self.path).st_size

    def block(self, number):
        return self.get(block_offset(number), BLOCK)

    def entry(self, number):
        return self.get(entry_offset(number), ENTRY)
