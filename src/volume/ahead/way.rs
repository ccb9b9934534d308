//! The way that somebody who goes through a tree will take: down into what is below the directory
//! where he is, then on to the ones beside it, in the order of the lower directories.

use std::collections::VecDeque;

use rustix::fs::FileType;

use super::MOST;
use super::search::{Found, read_names};
use crate::lower::{Dir, LowerStat};
use crate::sync::Arc;

/// Most names of a directory that are looked at.
const LISTED: usize = 4096;

/// So many of them are as much work as one key.
const NAMES_PER_KEY: usize = 32;

/// Most directories inside one another of which it is kept what is left there: each is open.
const DEPTH: usize = 32;

/// A directory on the way.
pub struct Stop {
    /// Where its name is.
    pub parent: Arc<Dir>,
    /// Its lower name.
    pub name: Vec<u8>,
    /// Its lower inode number.
    pub ino: u64,
    /// The directory.
    pub dir: Arc<Dir>,
    /// The first of its files: lower inode number and lower name.
    pub files: Vec<Found>,
    /// The lower position after them; 0 after the last.
    pub position: u64,
}

/// What comes of going on.
pub enum Step {
    /// A directory that he will come to.
    Stop(Stop),
    /// Nothing yet, for as much work as so many keys are.
    Looked(usize),
    /// The way has ended.
    Over,
}

/// Who goes it, as far as mode bits are concerned: user and group. A directory that these let
/// nobody into is left out, since every key that is asked for leaves a line that names him. Of his
/// other groups and of access lists nothing is known here: whoever these let in asks for himself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Walker {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

impl Walker {
    fn may_list(self, dir: &LowerStat) -> bool {
        let wanted = match (self.uid == dir.uid, self.gid == dir.gid) {
            (true, _) => 0o500,
            (_, true) => 0o050,
            _ => 0o005,
        };
        self.uid == 0 || dir.mode & wanted == wanted
    }
}

/// What is still to be gone into, innermost last.
pub struct Way {
    walker: Walker,
    /// He goes from the last to the first.
    backwards: bool,
    levels: Vec<Level>,
}

enum Level {
    /// Not looked at yet: the ones after `from`, all of them if there is none. Whoever came from
    /// the one right after it goes the other way.
    New { dir: Arc<Dir>, from: Option<Box<[u8]>>, came: Option<Box<[u8]>> },
    /// Those that are left.
    Listed { dir: Arc<Dir>, next: VecDeque<Found> },
}

impl Way {
    /// Nowhere yet. `backwards`: as he went when that was last seen; it is kept to where nothing
    /// tells.
    pub fn of(walker: Walker, backwards: bool) -> Way {
        Way { walker, backwards, levels: Vec::new() }
    }

    /// Whether he goes backwards.
    pub fn is_backwards(&self) -> bool {
        self.backwards
    }

    /// Before everything else, what comes after `from` in a directory.
    pub fn begin(&mut self, dir: Arc<Dir>, from: Option<Box<[u8]>>, came: Option<Box<[u8]>>) {
        self.levels.push(Level::New { dir, from, came });
    }

    /// What is left of it, and nothing stays.
    pub fn take(&mut self) -> Way {
        Way { levels: std::mem::take(&mut self.levels), ..*self }
    }

    /// Whether it is this one who goes it.
    pub fn is_of(&self, walker: Walker) -> bool {
        self.walker == walker
    }

    /// It has come to its end.
    pub fn is_over(&self) -> bool {
        self.levels.is_empty()
    }

    /// One step. What cannot be read is left out: whoever comes there will be told.
    pub fn next(&mut self) -> Step {
        let (dir, mut next) = match self.levels.pop() {
            None => return Step::Over,
            Some(Level::Listed { dir, next }) => (dir, next),
            Some(Level::New { dir, from, came }) => {
                let (next, seen) = self.beside(&dir, from.as_deref(), came.as_deref());
                self.keep(dir, next);
                return Step::Looked(1 + seen / NAMES_PER_KEY);
            }
        };
        let Some((_, name)) = next.pop_front() else { return Step::Looked(0) };
        self.keep(Arc::clone(&dir), next);
        self.go_into(dir, name).map_or(Step::Looked(1), Step::Stop)
    }

    /// What is left of a directory. At the innermost he will be first.
    fn keep(&mut self, dir: Arc<Dir>, next: VecDeque<Found>) {
        if next.is_empty() {
            return;
        }
        if self.levels.len() >= DEPTH {
            self.levels.remove(0);
        }
        self.levels.push(Level::Listed { dir, next });
    }

    fn go_into(&mut self, parent: Arc<Dir>, name: Vec<u8>) -> Option<Stop> {
        let dir = Arc::new(parent.open_dir(&name).ok()?);
        // Its number as statx has it: a listing of overlayfs may show another one.
        let st = dir.stat_self().ok().filter(|st| self.walker.may_list(st))?;
        let (mut files, mut dirs, mut seen) = (Vec::new(), VecDeque::new(), 0_usize);
        let position = read_names(&dir, 0, |kind, found| {
            match kind {
                FileType::RegularFile => files.push(found),
                FileType::Directory => dirs.push_back(found),
                _ => {}
            }
            seen += 1;
            files.len() < MOST && seen < LISTED
        })
        .ok()?;
        if self.backwards {
            dirs.make_contiguous().reverse();
        }
        self.keep(Arc::clone(&dir), dirs);
        Some(Stop { parent, name, ino: st.ino, dir, files, position })
    }

    /// The directories in one, on the way that comes from `came` to `from`, and how many names were
    /// looked at. None if he may not list it himself.
    fn beside(
        &mut self,
        dir: &Dir,
        from: Option<&[u8]>,
        came: Option<&[u8]>,
    ) -> (VecDeque<Found>, usize) {
        let (mut dirs, mut seen) = (VecDeque::new(), 0_usize);
        if !dir.stat_self().is_ok_and(|st| self.walker.may_list(&st)) {
            return (dirs, seen);
        }
        let read = read_names(dir, 0, |kind, found| {
            if kind == FileType::Directory {
                dirs.push_back(found);
            }
            seen += 1;
            seen < LISTED
        });
        let Some(from) = from.filter(|_| read.is_ok()) else { return (dirs, seen) };
        let Some(at) = dirs.iter().position(|(_, name)| **name == *from) else {
            return (VecDeque::new(), seen);
        };
        let after = dirs.split_off(at + 1);
        dirs.pop_back();
        let is_his = |found: Option<&Found>| {
            found.is_some_and(|(_, name)| came.is_some_and(|came| **name == *came))
        };
        if is_his(after.front()) {
            self.backwards = true;
        } else if is_his(dirs.back()) {
            self.backwards = false;
        }
        (if self.backwards { dirs.into_iter().rev().collect() } else { after }, seen)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::*;
    use crate::format::{DIR_HEADER, DirKeys, FileId};
    use crate::secret::Secret;

    const ROOT: Walker = Walker { uid: 0, gid: 0 };

    /// The name below that a name has.
    fn lower(name: &str) -> String {
        let keys = DirKeys::new(&Secret::new([7; 32]), &FileId([7; 16]));
        keys.encrypt_name(name.as_bytes()).unwrap().name().to_owned()
    }

    fn open(path: &Path) -> Arc<Dir> {
        Arc::new(Dir::new(File::open(path).unwrap().into()))
    }

    /// Directories `a` to `c`, of which each has two files and a directory with one.
    fn tree() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            let inner = top.path().join(lower(name)).join(lower("inner"));
            fs::create_dir_all(&inner).unwrap();
            for file in [lower("x"), lower("y"), DIR_HEADER.to_owned(), "foreign".to_owned()] {
                File::create(inner.with_file_name(file)).unwrap();
            }
            File::create(inner.join(lower("z"))).unwrap();
        }
        top
    }

    /// Its directories in their own order.
    fn order(top: &tempfile::TempDir) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        read_names(&open(top.path()), 0, |_, (_, name)| {
            names.push(name);
            true
        })
        .unwrap();
        names
    }

    fn stop(way: &mut Way) -> Option<Stop> {
        loop {
            match way.next() {
                Step::Stop(stop) => return Some(stop),
                Step::Looked(_) => {}
                Step::Over => return None,
            }
        }
    }

    fn follow(way: &mut Way) -> Vec<(Vec<u8>, usize)> {
        std::iter::from_fn(|| stop(way)).map(|stop| (stop.name, stop.files.len())).collect()
    }

    fn named(name: &[u8]) -> Option<Box<[u8]>> {
        Some(name.into())
    }

    #[test]
    fn it_leads_down_first_and_on_from_there() {
        let top = tree();
        let order = order(&top);
        let inner = lower("inner").into_bytes();
        let whole: Vec<_> =
            order.iter().flat_map(|name| [(name.clone(), 2), (inner.clone(), 1)]).collect();
        let mut way = Way::of(ROOT, false);
        way.begin(open(top.path()), None, None);
        assert_eq!(follow(&mut way), whole);
        assert!(way.is_over());
        // From the second on, with what is below it before what is beside it.
        let second = open(&top.path().join(String::from_utf8(order[1].clone()).unwrap()));
        way.begin(open(top.path()), named(&order[1]), named(&order[0]));
        way.begin(second, None, None);
        assert_eq!(follow(&mut way), whole[3..]);
    }

    #[test]
    fn who_comes_from_the_other_side_goes_the_other_way() {
        let top = tree();
        let order = order(&top);
        let mut way = Way::of(ROOT, false);
        way.begin(open(top.path()), named(&order[1]), named(&order[2]));
        let names = follow(&mut way).into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), [order[0].clone(), lower("inner").into_bytes()]);
        way.begin(open(top.path()), named(b"gone"), None);
        assert!(stop(&mut way).is_none());
        // And keeps to that where nothing tells, also below.
        assert!(way.is_backwards());
        let mut way = Way::of(ROOT, true);
        way.begin(open(top.path()), named(&order[2]), None);
        assert_eq!(stop(&mut way).unwrap().name, order[1]);
        way.begin(open(top.path()), named(&order[1]), named(&order[0]));
        assert_eq!(stop(&mut way).unwrap().name, order[2]);
        assert!(!way.is_backwards(), "he has turned round");
    }

    #[test]
    fn of_a_large_directory_the_first_files_alone() {
        let top = tempfile::tempdir().unwrap();
        let large = top.path().join(lower("large"));
        fs::create_dir(&large).unwrap();
        (0..MOST + 1).for_each(|n| drop(File::create(large.join(lower(&n.to_string()))).unwrap()));
        let mut way = Way::of(ROOT, false);
        way.begin(open(top.path()), None, None);
        let stop = stop(&mut way).unwrap();
        assert_eq!(stop.files.len(), MOST);
        let mut rest = 0;
        let next = read_names(&stop.dir, stop.position, |_, _| {
            rest += 1;
            true
        });
        assert_eq!((next.unwrap(), rest), (0, 1));
    }

    #[test]
    fn a_deep_way_keeps_few_directories_open() {
        let top = tempfile::tempdir().unwrap();
        let mut at = top.path().to_owned();
        for _ in 0..DEPTH * 2 {
            at.push(lower("d"));
            fs::create_dir(&at).unwrap();
            fs::create_dir(at.join(lower("e"))).unwrap();
        }
        let mut way = Way::of(ROOT, false);
        way.begin(open(top.path()), None, None);
        let mut most = 0;
        while stop(&mut way).is_some() {
            most = most.max(way.levels.len());
        }
        assert!((2..=DEPTH).contains(&most), "{most}");
    }

    #[test]
    fn nobody_is_led_where_he_may_not_look() {
        use std::os::unix::fs::PermissionsExt;
        let top = tree();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let mut way = Way::of(Walker { uid: 77, gid: 77 }, false);
        way.begin(open(top.path()), None, None);
        assert!(stop(&mut way).is_none());
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in order(&top) {
            let path = top.path().join(String::from_utf8(name).unwrap());
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        way.begin(open(top.path()), None, None);
        let mut work = 0;
        loop {
            match way.next() {
                Step::Stop(_) => panic!("a directory of root's"),
                Step::Looked(keys) => work += keys,
                Step::Over => break,
            }
        }
        assert_eq!(work, 4, "the listing, and each of the three");
    }

    #[test]
    fn what_mode_bits_keep_somebody_out_of_is_not_on_his_way() {
        let st = |uid, gid, mode| {
            let top = open(tempfile::tempdir().unwrap().path()).stat_self().unwrap();
            LowerStat { uid, gid, mode, ..top }
        };
        let anna = Walker { uid: 7, gid: 70 };
        for (dir, may) in [
            (st(7, 1, 0o40700), true),
            (st(7, 70, 0o40077), false),
            (st(1, 70, 0o40750), true),
            (st(1, 70, 0o40705), false),
            (st(1, 1, 0o40705), true),
            (st(1, 1, 0o40771), false),
        ] {
            assert_eq!(anna.may_list(&dir), may, "{:o}", dir.mode);
            assert!(ROOT.may_list(&dir));
        }
    }
}
