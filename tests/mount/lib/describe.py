"""One line per object below a directory: everything about it that must not change, times aside."""
import hashlib
import os
import stat
import sys

top = os.fsencode(sys.argv[1])
for folder, dirs, files in os.walk(top):
    dirs.sort()
    for name in sorted(dirs + files):
        path = os.path.join(folder, name)
        st = os.lstat(path)
        line = [os.path.relpath(path, top).hex(), f"{st.st_mode:o}", str(st.st_nlink if not stat.S_ISDIR(st.st_mode) else 0)]
        if stat.S_ISLNK(st.st_mode):
            line.append(hashlib.sha256(os.readlink(path)).hexdigest())
        elif stat.S_ISREG(st.st_mode):
            try:
                with open(path, "rb") as file:
                    line += [str(st.st_size), hashlib.file_digest(file, "sha256").hexdigest()]
            except OSError as error:
                line.append(os.strerror(error.errno))
            line += [f"{n}={os.getxattr(path, n).hex()}" for n in sorted(os.listxattr(path)) if n.startswith("user.")]
        print(" ".join(line))
