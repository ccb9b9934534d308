//! Another data key for a file, and its content sealed anew: for the day when the one that it has
//! may be known to somebody.

use arc_swap::ArcSwap;
use rustix::fs::XattrFlags;

use crate::format::{FileKeys, WrappedKey, XattrKey};
use crate::lower::{FileIo, Pinned};
use crate::sync::Arc;

use super::Volume;
use super::file::{CAPABILITY, Copied, FileError, FileState, Identity, Kept};
use super::inode::Inode;
use super::keys::{Caller, Operation};
use super::options::CrashSafety;
use super::redo::{Journal, apply, sealed_attributes};
use super::types::{Errno, FileKind, Ino, ReqCtx};

/// Passes over what changed meanwhile before others are made to wait for the rest.
const PASSES: u32 = 8;

/// Changed entry pages (of 64 blocks each) that others may have to wait for.
const LITTLE: u64 = 16;

/// How often a copy is put in place before that is left to the next mount.
const TRIES: usize = 3;

impl Volume {
    /// Puts a regular file under a fresh data key of the same CMK and seals its content and its
    /// attributes anew, while it is read and written. For root or the owner, who needs the right
    /// to open the file and to make data keys.
    ///
    /// # Errors
    /// EBUSY: that is being done to the file already, or its CMK was changed meanwhile. ENOSPC:
    /// it takes the space of the file once more. In both cases the file is as it was. EIO after
    /// the copy was complete: the file is finished by the next mount.
    ///
    /// # Crash
    /// The file has its old key or the new one, and all that was acknowledged.
    pub(super) fn rekey(&self, cx: &ReqCtx, inode: &Arc<Inode>) -> Result<(), Errno> {
        self.writable()?;
        if inode.kind != FileKind::Regular {
            return Err(Errno::EINVAL);
        }
        self.owner_or_root(cx, inode)?;
        let caller = self.caller(cx).to(Operation::ReadWrite);
        let _alone = Alone::with(self, inode.ino)?;
        self.with_file(inode, caller, |file| {
            let errno = |e| self.file_errno(inode, file, e);
            file.before_copy(&self.env()).map_err(errno)?;
            let durable = self.crash == CrashSafety::Power;
            let (journal, lower) = Journal::begin(&self.kmsfs, &file.identity().id, durable)?;
            let done = self.copied(inode, file, caller, &journal, self.io(lower));
            match done {
                Ok(()) => journal.done(),
                Err(Stopped::Before(e)) => {
                    journal.discard();
                    return Err(e);
                }
                // The next mount needs it.
                Err(Stopped::HalfWay) => return Err(Errno::EIO),
            }
            if let Some(alias) = inode.alias()
                && let Ok((_, parent)) = self.dir_and_fd(alias.parent)
            {
                self.walked.moved(&parent, &alias.lower);
            }
            Ok(())
        })
    }

    fn copied(
        &self,
        inode: &Arc<Inode>,
        file: &Arc<FileState>,
        caller: Caller,
        journal: &Journal,
        lower: Box<dyn FileIo>,
    ) -> Result<(), Stopped> {
        let errno = |e| Stopped::Before(self.file_errno(inode, file, e));
        let identity = file.identity();
        let cmk = identity.wrapped.load().key_id.clone();
        let context = self.file_context(identity.id);
        let (key, wrapped) = self.keys.generate_again(caller, &cmk, &context)?;
        let keys = FileKeys::new(&key, identity.suite, &identity.id);
        let copy = FileState::fresh(
            lower,
            Identity {
                id: identity.id,
                suite: identity.suite,
                wrapped: ArcSwap::from_pointee(wrapped.clone()),
            },
            keys,
        );
        let mut copied = Copied::default();
        for _ in 0..PASSES {
            if file.copy_changed(&self.env(), &copy, &mut copied).map_err(errno)? <= LITTLE {
                break;
            }
        }
        // From here on a walk waits, so that the key goes under a version that seals still.
        let _making = self.grace.enter();
        copy.rewrapped(self.current(caller, wrapped, &cmk, &context)?);
        let at = self.lower_path(inode);
        // Renames and opens of this file wait for its lock.
        let open = inode.file.lock();
        if identity.wrapped.load().key_id != cmk {
            return Err(Stopped::Before(Errno::EBUSY));
        }
        let durable = self.crash == CrashSafety::Power;
        let kept = file.become_copy(&self.env(), &copy, &mut copied, |from, to| {
            let before = |e| Kept::Not(FileError::Lower(e));
            reseal_attributes(file.key_of_attributes().xattr(), &copy, from, to, durable)?;
            journal.ready(&at).map_err(before)?;
            journal.settle().map_err(Kept::HalfWay)?;
            // There is no way back any more; a disk that was full may not be next time.
            let mut applied = apply(from, to, durable);
            for _ in 1..TRIES {
                applied = applied.or_else(|_| apply(from, to, durable));
            }
            applied.map_err(Kept::HalfWay)
        });
        drop(open);
        kept.map_err(|e| match e {
            Kept::Not(e) => errno(e),
            Kept::HalfWay(error) => {
                tracing::error!(
                    file = %identity.id, %error,
                    "a file could not be put under its new data key; the next mount finishes it"
                );
                Stopped::HalfWay
            }
        })
    }

    /// The key under the version of its CMK that seals now.
    fn current(
        &self,
        caller: Caller,
        wrapped: WrappedKey,
        cmk: &str,
        context: &super::keys::KeyContext,
    ) -> Result<WrappedKey, Stopped> {
        if self.keys.current_version(cmk)? == wrapped.version {
            return Ok(wrapped);
        }
        Ok(self.keys.rewrap(caller, &wrapped, context, cmk)?)
    }

    /// The path of a name below the lower root; not whole where a parent is not known any more.
    fn lower_path(&self, inode: &Arc<Inode>) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = inode.alias();
        while let Some(alias) = at {
            names.push(alias.lower);
            at = self
                .inodes
                .get(alias.parent)
                .filter(|p| p.ino != Ino::ROOT)
                .and_then(|p| p.alias());
        }
        names.reverse();
        names.join(&b'/')
    }
}

enum Stopped {
    Before(Errno),
    HalfWay,
}

impl<E: Into<Errno>> From<E> for Stopped {
    fn from(e: E) -> Stopped {
        Stopped::Before(e.into())
    }
}

/// Puts a file's attributes under the copy's key, on the copy.
fn reseal_attributes(
    old: &XattrKey,
    copy: &FileState,
    from: &dyn FileIo,
    to: &dyn FileIo,
    durable: bool,
) -> Result<(), Kept> {
    let lower = |e| Kept::Not(FileError::Lower(e));
    let (copied, pin) = (Pinned::new(from.fd()), Pinned::new(to.fd()));
    let st = from.stat().map_err(lower)?;
    for name in sealed_attributes(&pin).map_err(lower)? {
        let sealed = pin.xattr(&name).map_err(lower)?;
        let damaged = |_| Kept::Not(FileError::Tampered("an extended attribute"));
        let (name, value) = old.open_xattr(&name, &sealed).map_err(damaged)?;
        let keys = copy.key_of_attributes();
        let (name, sealed) = keys.xattr().seal_xattr(&name, &value).map_err(damaged)?;
        copied.set_xattr(name.as_bytes(), &sealed, XattrFlags::empty()).map_err(lower)?;
    }
    if let Ok(caps) = pin.xattr(CAPABILITY) {
        copied.set_xattr(CAPABILITY, &caps, XattrFlags::empty()).map_err(lower)?;
    }
    from.set_mtime(st.mtime.0, st.mtime.1).map_err(lower)?;
    if durable { from.sync(true).map_err(lower) } else { Ok(()) }
}

/// One at a time for each file.
struct Alone<'a>(&'a Volume, Ino);

impl<'a> Alone<'a> {
    fn with(volume: &'a Volume, ino: Ino) -> Result<Alone<'a>, Errno> {
        if volume.rekeying.lock().insert(ino) { Ok(Alone(volume, ino)) } else { Err(Errno::EBUSY) }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.rekeying.lock().remove(&self.1);
    }
}
