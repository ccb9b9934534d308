"""Everything that a user can see of a tree, as text: type, mode, owner, size, links, mtime in ns, sum, attributes."""
import hashlib, os, stat, sys
top = os.fsencode(sys.argv[1])
rows, first = [], {}
for folder, folders, names in os.walk(top):
    for name in folders + names:
        path = os.path.join(folder, name)
        s = os.lstat(path)
        row = [os.path.relpath(path, top), oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns]
        if not stat.S_ISDIR(s.st_mode):
            row += [s.st_size, s.st_nlink]
        if stat.S_ISREG(s.st_mode):
            row += [first.setdefault(s.st_ino, row[0]), hashlib.sha256(open(path, "rb").read()).hexdigest()]
        if stat.S_ISLNK(s.st_mode):
            row.append(os.readlink(path))
        for x in sorted(os.listxattr(path, follow_symlinks=False)):
            row.append((x, os.getxattr(path, x, follow_symlinks=False)))
        rows.append(row)
# os.walk comes in the order of the directory: the first name of a hard link is fixed by sorting.
links = {}
for row in rows:
    if len(row) > 7:
        links[row[7]] = min(links.get(row[7], row[0]), row[0])
for row in sorted(rows, key=lambda r: r[0]):
    if len(row) > 7 and row[7] in links:
        row[7] = links[row[7]]
    print(row)
