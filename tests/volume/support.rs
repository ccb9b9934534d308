//! A volume in a temporary directory, and a key service that is a table.

use kmsfs::volume::WriteFrom;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kmsfs::crypto::{Label, Suite, derive};
use kmsfs::format::{FileId, VolumeId, WrappedKey};
use kmsfs::lower::faulty::Fault;
use kmsfs::secret::Secret;
use kmsfs::volume::keys::{
    Caller, DataKey, DataKeys, FreshFor, FreshKey, KeyContext, KeyError, Purpose, Resealed, Sealed,
    VolumeNews,
};
use kmsfs::volume::{
    Attr, CrashSafety, CreateOptions, DirSink, Entry, Errno, Fh, FileKind, Ino, MountOptions,
    ReqCtx, Volume, open_root,
};

/// The caller of most requests.
pub const CX: ReqCtx = ReqCtx { uid: 0, gid: 0, pid: 1, umask: 0o022 };
/// Somebody else.
pub const OTHER: ReqCtx = ReqCtx { uid: 1001, gid: 1001, pid: 1, umask: 0o022 };

/// Wraps by remembering: a wrapped key is a number, and opens only in its own context.
pub struct TableKeys {
    table: Mutex<HashMap<Vec<u8>, (DataKey, KeyContext)>>,
    denied: Mutex<HashSet<u32>>,
    /// Who is denied everything right after the next yes.
    doomed: Mutex<Option<u32>>,
    disabled: Mutex<bool>,
    epoch: AtomicU64,
    version: AtomicU32,
    pub tampered: Mutex<Vec<String>>,
}

impl Default for TableKeys {
    fn default() -> TableKeys {
        TableKeys {
            table: Mutex::default(),
            denied: Mutex::default(),
            doomed: Mutex::default(),
            disabled: Mutex::default(),
            epoch: AtomicU64::default(),
            version: AtomicU32::new(1),
            tampered: Mutex::default(),
        }
    }
}

impl TableKeys {
    /// All CMKs have another version from here on; gives its number.
    pub fn rotate(&self) -> u32 {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn deny(&self, uid: u32) {
        self.denied.lock().unwrap().insert(uid);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The next to be given a key is the last one before `uid` is denied all.
    pub fn deny_after_the_next(&self, uid: u32) {
        *self.doomed.lock().unwrap() = Some(uid);
    }

    pub fn allow(&self, uid: u32) {
        self.denied.lock().unwrap().remove(&uid);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The data key of a file.
    pub fn of_file(&self, id: FileId) -> DataKey {
        let table = self.table.lock().unwrap();
        let found = table.values().find(|(_, context)| context.purpose == Purpose::File(id));
        found.unwrap().0.duplicate()
    }

    pub fn disable(&self, disabled: bool) {
        *self.disabled.lock().unwrap() = disabled;
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    fn allowed(&self, caller: Caller) -> Result<(), KeyError> {
        if *self.disabled.lock().unwrap() {
            return Err(KeyError::Unusable);
        }
        match caller {
            Caller::User { uid, .. } if self.denied.lock().unwrap().contains(&uid) => {
                Err(KeyError::Denied)
            }
            _ => Ok(()),
        }
    }
}

impl DataKeys for TableKeys {
    fn generate(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
    ) -> Result<FreshKey, KeyError> {
        self.allowed(caller)?;
        let id = match what {
            FreshFor::Volume => FileId([0; 16]),
            _ => FileId::random(),
        };
        let purpose = match what {
            FreshFor::Volume => Purpose::Volume,
            FreshFor::Directory => Purpose::Directory(id),
            FreshFor::File => Purpose::File(id),
        };
        let key = Secret::random();
        let mut table = self.table.lock().unwrap();
        let blob = format!("blob-{}", table.len()).into_bytes();
        table.insert(blob.clone(), (key.duplicate(), KeyContext { volume, purpose }));
        let wrapped = WrappedKey {
            key_id: cmk.to_owned(),
            version: self.version.load(Ordering::SeqCst),
            blob,
        };
        Ok(FreshKey { id, key, wrapped })
    }

    fn unwrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<DataKey, KeyError> {
        self.allowed(caller)?;
        if let Some(uid) = self.doomed.lock().unwrap().take() {
            self.deny(uid);
        }
        match self.table.lock().unwrap().get(&wrapped.blob) {
            Some((key, bound)) if bound == context => Ok(key.duplicate()),
            _ => Err(KeyError::Corrupt),
        }
    }

    fn authorize(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<(), KeyError> {
        self.unwrap(caller, wrapped, context).map(|_| ())
    }

    fn generate_again(
        &self,
        caller: Caller,
        cmk: &str,
        context: &KeyContext,
    ) -> Result<(DataKey, WrappedKey), KeyError> {
        self.allowed(caller)?;
        let key = DataKey::random();
        let mut table = self.table.lock().unwrap();
        let blob = format!("blob-{}", table.len()).into_bytes();
        table.insert(blob.clone(), (key.duplicate(), *context));
        let version = self.version.load(Ordering::SeqCst);
        Ok((key, WrappedKey { key_id: cmk.to_owned(), version, blob }))
    }

    fn rewrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &str,
    ) -> Result<WrappedKey, KeyError> {
        let key = self.unwrap(caller, wrapped, context)?;
        let mut table = self.table.lock().unwrap();
        let blob = format!("blob-{}", table.len()).into_bytes();
        table.insert(blob.clone(), (key, *context));
        Ok(WrappedKey { key_id: to.to_owned(), version: self.version.load(Ordering::SeqCst), blob })
    }

    fn reseal(
        &self,
        caller: Caller,
        keys: &[Sealed],
        to: Option<&str>,
    ) -> Result<Vec<Result<Resealed, KeyError>>, KeyError> {
        self.allowed(caller)?;
        let version = self.version.load(Ordering::SeqCst);
        let mut table = self.table.lock().unwrap();
        let mut one = |sealed: &Sealed| {
            let (key, bound) = table.get(&sealed.wrapped.blob).ok_or(KeyError::Corrupt)?;
            if *bound != sealed.context {
                return Err(KeyError::Corrupt);
            }
            let key = key.duplicate();
            let tag_key = match sealed.context.purpose {
                Purpose::Volume => derive(&key, Label::Volume, &sealed.context.volume.0),
                Purpose::Directory(id) => {
                    derive(&key, Label::Header, &[&[2, 0][..], &id.0].concat())
                }
                Purpose::File(id) => {
                    let head = [1, sealed.suite.number()];
                    derive(&key, Label::Header, &[&head[..], &id.0].concat())
                }
            };
            let blob = format!("blob-{}", table.len()).into_bytes();
            table.insert(blob.clone(), (key, sealed.context));
            let key_id = to.unwrap_or(&sealed.wrapped.key_id).to_owned();
            Ok(Resealed { wrapped: WrappedKey { key_id, version, blob }, tag_key })
        };
        Ok(keys.iter().map(&mut one).collect())
    }

    fn report_volume(&self, news: &VolumeNews) -> Result<Vec<(String, u32)>, KeyError> {
        Ok(news.floors.clone())
    }

    fn current_version(&self, _cmk: &str) -> Result<u32, KeyError> {
        Ok(self.version.load(Ordering::SeqCst))
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn report_tamper(&self, _caller: Caller, _context: &KeyContext, object: &str, what: &str) {
        self.tampered.lock().unwrap().push(format!("{object}: {what}"));
    }
}

/// A volume, mounted or not.
pub struct Fs {
    pub dir: tempfile::TempDir,
    pub keys: Arc<TableKeys>,
    pub volume: Option<Volume>,
    pub crash: CrashSafety,
}

impl Fs {
    pub fn new() -> Fs {
        Fs::with(Suite::Aes256GcmSiv, CrashSafety::Process)
    }

    pub fn with(suite: Suite, crash: CrashSafety) -> Fs {
        let dir = tempfile::tempdir().unwrap();
        let keys = Arc::new(TableKeys::default());
        let options = CreateOptions { cmk: "cmk-1".to_owned(), suite };
        Volume::init(dir.path(), keys.as_ref(), &options).unwrap();
        let mut fs = Fs { dir, keys, volume: None, crash };
        fs.mount(None);
        fs
    }

    pub fn mount(&mut self, fault: Option<Arc<Fault>>) {
        let options = MountOptions { read_only: false, crash: self.crash };
        let root = open_root(self.dir.path()).unwrap();
        let keys: Arc<dyn DataKeys> = self.keys.clone();
        self.volume = Some(Volume::mount_with_fault(root, keys, options, fault).unwrap());
    }

    /// Clean unmount.
    pub fn unmount(&mut self) {
        self.volume.take().unwrap().close().unwrap();
    }

    /// Unmount and mount again.
    pub fn remount(&mut self) {
        self.unmount();
        self.mount(None);
    }

    /// What a SIGKILL leaves: nothing is closed.
    pub fn kill(&mut self) {
        drop(self.volume.take());
    }

    pub fn v(&self) -> &Volume {
        self.volume.as_ref().unwrap()
    }

    pub fn lower(&self) -> &Path {
        self.dir.path()
    }

    pub fn create(&self, parent: Ino, name: &str) -> (Ino, Fh) {
        let flags = libc::O_RDWR | libc::O_EXCL;
        let (entry, opened) = self.v().create(&CX, parent, name.as_bytes(), 0o644, flags).unwrap();
        (entry.attr.ino, opened.fh)
    }

    pub fn lookup(&self, path: &str) -> Result<Entry, Errno> {
        let mut at = Ino::ROOT;
        let mut entry = None;
        for part in path.split('/') {
            let found = self.v().lookup(&CX, at, part.as_bytes())?;
            at = found.attr.ino;
            entry = Some(found);
        }
        Ok(entry.unwrap())
    }

    pub fn put(&self, parent: Ino, name: &str, data: &[u8]) -> Ino {
        let (ino, fh) = self.create(parent, name);
        assert_eq!(self.v().write(ino, fh, 0, data, WriteFrom::Program), Ok(data.len()));
        self.v().flush(ino, fh).unwrap();
        self.v().release(ino, fh).unwrap();
        ino
    }

    pub fn get(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let ino = self.lookup(path)?.attr.ino;
        self.read_all(ino)
    }

    pub fn read_all(&self, ino: Ino) -> Result<Vec<u8>, Errno> {
        let fh = self.v().open(&CX, ino, libc::O_RDONLY)?.fh;
        let size = usize::try_from(self.v().getattr(ino, Some(fh))?.size).unwrap();
        let mut out = vec![0xAA; size + 10];
        let got = self.v().read(ino, fh, 0, &mut out);
        self.v().release(ino, fh).unwrap();
        out.truncate(got?);
        assert_eq!(out.len(), size, "a read to the end gives as much as stat says");
        Ok(out)
    }

    /// Where a file lies below.
    pub fn below(&self, path: &str) -> PathBuf {
        let mut at = Ino::ROOT;
        let mut lower = self.lower().to_owned();
        for part in path.split('/') {
            at = self.v().lookup(&CX, at, part.as_bytes()).unwrap().attr.ino;
            let name = self.v().getxattr(&CX, at, b"kmsfs.lower-name").unwrap();
            lower.push(String::from_utf8(name).unwrap());
        }
        lower
    }
}

/// Collects a listing.
#[derive(Default)]
pub struct Listing(pub Vec<(Vec<u8>, FileKind, Option<Attr>)>);

impl DirSink for Listing {
    fn add(&mut self, _: Ino, _: u64, kind: FileKind, name: &[u8], entry: Option<&Entry>) -> bool {
        if name != b"." && name != b".." {
            self.0.push((name.to_vec(), kind, entry.map(|e| e.attr)));
        }
        true
    }
}

pub fn list(volume: &Volume, ino: Ino) -> Vec<Vec<u8>> {
    let fh = volume.opendir(&CX, ino).unwrap();
    let mut listing = Listing::default();
    volume.readdir(&CX, ino, fh, 0, false, &mut listing).unwrap();
    volume.releasedir(ino, fh).unwrap();
    let mut names: Vec<_> = listing.0.into_iter().map(|(name, ..)| name).collect();
    names.sort();
    names
}

/// Bytes that differ from place to place.
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x.to_le_bytes()[3]
        })
        .collect()
}
