//! The seam between the filesystem and whoever holds the keys.
//!
//! [`DataKeys`] is all that the volume knows of a key service. It is implemented over the
//! real service by `client`, and by a table of fixed keys in tests. Calls may block for a
//! round trip; the volume never calls while it holds an inode lock that a reader of another
//! file could want.

use crate::format::{FileId, Suite, VolumeId, WrappedKey};
use crate::secret::Secret;

/// A 256-bit data key in the clear. It lives in the filesystem process alone.
pub type DataKey = Secret<[u8; 32]>;

/// Who asks. The kernel's word for it: FUSE passes these with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The filesystem itself, for directory keys and the volume key, so that names and
    /// attributes can be listed by everybody whom the mode bits let in.
    Service,
    /// A process of a user. The key service maps it to a principal.
    User {
        /// Effective user id.
        uid: u32,
        /// Effective group id; supplementary groups are read from the process.
        gid: u32,
        /// Thread id, as seen from the filesystem's own pid namespace; 0 when unknown.
        pid: u32,
        /// What it is about to do.
        operation: Operation,
    },
}

/// What a process does with an object; policies can tell these apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read a file's content, a link's target, an attribute.
    #[default]
    Read,
    /// Change a file's content or an attribute, take a name away from a directory.
    Write,
    /// Both of them, through one handle: takes the right to each.
    ReadWrite,
    /// Make a name in a directory.
    Create,
    /// List a directory.
    List,
}

impl Operation {
    /// Of a file opened with these flags.
    pub fn of_flags(flags: i32) -> Operation {
        match (flags & libc::O_ACCMODE, flags & libc::O_TRUNC) {
            (libc::O_RDONLY, 0) => Operation::Read,
            (libc::O_WRONLY, _) => Operation::Write,
            _ => Operation::ReadWrite,
        }
    }
}

impl Caller {
    /// The same process about to do something else.
    #[must_use]
    pub fn to(self, operation: Operation) -> Caller {
        match self {
            Caller::Service => Caller::Service,
            Caller::User { uid, gid, pid, .. } => Caller::User { uid, gid, pid, operation },
        }
    }
}

/// What a data key is for. Becomes the encryption context, so a wrapped key that is moved to
/// another place does not unwrap there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The volume descriptor: `{"kmsfs:volume": V}`.
    Volume,
    /// Names below one directory: `{"kmsfs:volume": V, "kmsfs:directory": ID}`.
    Directory(FileId),
    /// The content of one file, symlink or special file: `{"kmsfs:volume": V, "kmsfs:file": ID}`.
    File(FileId),
}

/// The binding of a wrapped key: volume and purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyContext {
    /// The volume that the key belongs to.
    pub volume: VolumeId,
    /// What in the volume it is for.
    pub purpose: Purpose,
}

/// What a fresh key will be for; the id is chosen by [`DataKeys::generate`], so that keys can be
/// made ahead of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FreshFor {
    /// The volume descriptor; the id of the result is all zero.
    Volume,
    /// A directory.
    Directory,
    /// A file, symlink or special file.
    File,
}

/// A data key that nothing has used yet, with the id it is bound to.
#[derive(Debug)]
pub struct FreshKey {
    /// Random id of the object to be.
    pub id: FileId,
    /// The key.
    pub key: DataKey,
    /// The same key under the CMK, for the header.
    pub wrapped: WrappedKey,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Policy says no: EACCES.
    #[error("the key policy does not allow this")]
    Denied,
    /// The key is disabled, pending deletion or unknown: ENOKEY.
    #[error("the key is disabled, pending deletion or unavailable")]
    Unusable,
    /// The key service did not answer in time: ENOKEY.
    #[error("the key service does not answer")]
    Unreachable,
    /// A policy asks where the object is: to be asked again, by the method that tells it. If it
    /// cannot be told: EACCES.
    #[error("a policy asks where in the volume this is")]
    PathWanted,
    /// The caller was sent a signal while the key service did not answer: EINTR.
    #[error("the wait for the key service was interrupted")]
    Interrupted,
    /// The wrapped key failed authentication: it was damaged, or belongs elsewhere: EIO.
    #[error("the wrapped key does not authenticate")]
    Corrupt,
}

/// A data key to be sealed again, as a header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The key.
    pub wrapped: WrappedKey,
    /// What it is for.
    pub context: KeyContext,
    /// The suite that the header says; a directory's plays no part.
    pub suite: Suite,
}

/// A data key that was sealed again. The data key itself was not shown.
#[derive(Debug)]
pub struct Resealed {
    /// It.
    pub wrapped: WrappedKey,
    /// Signs the header, or the descriptor, that it goes into; opens nothing.
    pub tag_key: Secret<[u8; 32]>,
}

/// What is told of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeNews {
    /// Which.
    pub volume: VolumeId,
    /// Path of its lower directory.
    pub place: String,
    /// Its CMKs by id, and the version that no header is older than; 0: not known.
    pub floors: Vec<(String, u32)>,
    /// When a whole walk counted: seconds since 1970; 0 if none did.
    pub counted: u64,
    /// What it counted: CMK, version, headers.
    pub counts: Vec<(String, u32, u64)>,
}

/// Most keys of one [`DataKeys::reseal`].
pub const RESEAL_MAX: usize = 256;

/// A key that somebody is likely to want next.
#[derive(Clone, Debug)]
pub struct KeyAhead {
    /// Who.
    pub caller: Caller,
    /// The key.
    pub wrapped: WrappedKey,
    /// What it is for.
    pub context: KeyContext,
}

/// Finds such keys, of at most so many objects; none when there are no more.
pub type KeysAhead = Box<dyn FnMut(usize) -> Vec<KeyAhead> + Send>;

/// Makes, unwraps and re-wraps data keys, and decides for whom.
pub trait DataKeys: Send + Sync + 'static {
    /// Makes a data key under `cmk` (a key id; what [`WrappedKey::key_id`] holds) on behalf of
    /// `caller`.
    fn generate(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
    ) -> Result<FreshKey, KeyError>;

    /// Makes another data key for an object that has one, under `cmk`, on behalf of `caller`.
    fn generate_again(
        &self,
        caller: Caller,
        cmk: &str,
        context: &KeyContext,
    ) -> Result<(DataKey, WrappedKey), KeyError>;

    /// Unwraps a data key for `caller`. A decision is made and recorded for every call.
    fn unwrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<DataKey, KeyError>;

    /// [`DataKeys::generate`] for an object that will be at `path` in the volume; `None` if that
    /// cannot be established.
    fn generate_at(
        &self,
        caller: Caller,
        cmk: &str,
        volume: VolumeId,
        what: FreshFor,
        path: Option<&str>,
    ) -> Result<FreshKey, KeyError> {
        let _ = path;
        self.generate(caller, cmk, volume, what)
    }

    /// [`DataKeys::unwrap`] for an object that is at `path` in the volume.
    fn unwrap_at(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        path: Option<&str>,
    ) -> Result<DataKey, KeyError> {
        let _ = path;
        self.unwrap(caller, wrapped, context)
    }

    /// [`DataKeys::authorize`] for an object that is at `path` in the volume.
    fn authorize_at(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        path: Option<&str>,
    ) -> Result<(), KeyError> {
        let _ = path;
        self.authorize(caller, wrapped, context)
    }

    /// Tells that `callers` are likely to want the keys next that `next` finds, which may be asked
    /// on another thread and names nobody else. Whoever can unwraps them together, with a decision
    /// and a record each, and answers from memory when they are asked for; the records say that they
    /// were asked for ahead. Nothing comes back, and nothing is promised; after a question of which
    /// nothing was granted no more is asked.
    fn unwrap_ahead(&self, callers: &[Caller], next: KeysAhead) {
        let _ = (callers, next);
    }

    /// How many keys were asked for so far because memory had no answer. A hint whether keys asked
    /// for ahead would have helped, and no more.
    fn questions(&self) -> u64 {
        0
    }

    /// Decides whether `caller` could unwrap, without handing out the key: for a key that the
    /// volume already holds for somebody else, and again after [`DataKeys::epoch`] has moved.
    fn authorize(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
    ) -> Result<(), KeyError>;

    /// Seals a data key under the CMK `to`, on behalf of `caller`, who needs kms:ReEncryptFrom on
    /// the one it is under and kms:ReEncryptTo on the other. The data key stays what it is.
    fn rewrap(
        &self,
        caller: Caller,
        wrapped: &WrappedKey,
        context: &KeyContext,
        to: &str,
    ) -> Result<WrappedKey, KeyError>;

    /// Seals data keys, 1 to [`RESEAL_MAX`], again under the current version of `to`, or of the
    /// CMK that each is under. One outcome each, in their order; the error is for all of them.
    fn reseal(
        &self,
        caller: Caller,
        keys: &[Sealed],
        to: Option<&str>,
    ) -> Result<Vec<Result<Resealed, KeyError>>, KeyError>;

    /// The version of a CMK that seals now.
    fn current_version(&self, cmk: &str) -> Result<u32, KeyError>;

    /// Tells the service of a volume, so that it does not destroy what the volume needs. Gives, of
    /// each of its CMKs, the version that no header is older than, as the service has it.
    fn report_volume(&self, news: &VolumeNews) -> Result<Vec<(String, u32)>, KeyError>;

    /// A number that moves whenever a policy, a grant or a key's state may have changed. A
    /// decision made under another epoch is void. Cheap: read on every request.
    fn epoch(&self) -> u64;

    /// Whether a question would be answered soon, as far as is known: `false` while the way to
    /// the key service is down. Cheap; a hint for who is to wait, and no more.
    fn responds(&self) -> bool {
        true
    }

    /// Writes an audit line about an object that failed authentication. `object` is an
    /// encrypted name or an id, never a plaintext name.
    fn report_tamper(&self, caller: Caller, context: &KeyContext, object: &str, what: &str);
}
