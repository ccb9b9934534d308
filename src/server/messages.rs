//! What kmsfs and kmsd say to each other; [`super::frames`] puts it on the wire.
//!
//! Invariant: a message claims nothing that the server believes. Who the peer is comes from the
//! kernel; on whose behalf it asks counts only if the configuration lists it as a service.

use bincode::de::Decoder;
use bincode::de::read::Reader as _;
use bincode::enc::Encoder;
use bincode::enc::write::Writer as _;
use bincode::error::{DecodeError, EncodeError};
use bincode::serde::Compat;
use bincode::{Decode, Encode};

use crate::kms::api::{IamReply, IamRequest, Reply, Request};
use crate::kms::error::KmsError;
use crate::secret::Secret;

/// Most data keys that one ask may make.
pub const MAX_BATCH: u16 = 256;

/// Client to server.
#[derive(Debug, Encode, Decode)]
pub enum ToServer {
    /// First frame of a connection.
    Hello {
        /// [`super::frames::VERSION`] of the client.
        version: u16,
    },
    /// A question.
    Ask {
        /// Comes back with the answer.
        id: u64,
        /// What is asked.
        ask: Ask,
    },
}

/// Server to client.
#[derive(Debug, Encode, Decode)]
pub enum ToClient {
    /// First frame of a connection.
    Hello {
        /// [`super::frames::VERSION`] of the server.
        version: u16,
        /// The epoch that holds now.
        epoch: Epoch,
    },
    /// The answer to the question of that number.
    Answer {
        /// The number.
        id: u64,
        /// The answer.
        answer: Answer,
    },
    /// The epoch has moved: decisions made under another one are void.
    Epoch(Epoch),
}

/// The state of all decisions. `instance` is random for every start of the service, so that a
/// counter that began anew is never mistaken for the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Epoch {
    /// Random number of this run of the service.
    pub instance: u64,
    /// Moves with every change.
    pub count: u64,
}

/// Whose right is in question. Believed only of peers that are listed as services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum OnBehalf {
    /// The filesystem itself.
    Service,
    /// A process of a user.
    User {
        /// Effective user id.
        uid: u32,
        /// Effective group id.
        gid: u32,
        /// Thread id, 0 when unknown.
        pid: u32,
        /// What it is about to do.
        operation: Operation,
    },
}

/// What a process does with an object: [`crate::kms::caller::Operation`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Operation {
    /// It did not say.
    Unknown,
    /// Read it.
    Read,
    /// Change it.
    Write,
    /// Make a name in it.
    Create,
    /// List it.
    List,
}

/// What a data key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Object {
    /// The volume descriptor.
    Volume,
    /// A directory, by its id.
    Directory([u8; 16]),
    /// A file, by its id.
    File([u8; 16]),
}

/// Where a data key belongs: becomes the encryption context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Place {
    /// Volume id.
    pub volume: [u8; 16],
    /// What in it.
    pub object: Object,
}

/// Where an object is in its volume. Told only where a policy in force asks: a plaintext path.
#[derive(Clone, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Told {
    /// Nobody asked so far.
    #[default]
    Nothing,
    /// It cannot be established.
    Unknown,
    /// There.
    Path(String),
}

/// Longest path that is told, bytes.
pub const MAX_PATH: usize = 1 << 15;

/// Without the path.
impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Told::Nothing => "Nothing",
            Told::Unknown => "Unknown",
            Told::Path(_) => "Path",
        })
    }
}

/// A data key under its CMK, as the header of a file has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct Wrapped {
    /// Id of the CMK.
    pub key_id: String,
    /// Version of the CMK.
    pub version: u32,
    /// The ciphertext blob.
    pub blob: Vec<u8>,
}

/// What kind of object a fresh key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Kind {
    /// The volume descriptor.
    Volume,
    /// A directory.
    Directory,
    /// A file.
    File,
}

/// Uses of rights that a cache of the client answered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CachedUse {
    /// Whose.
    pub caller: OnBehalf,
    /// Id of the CMK.
    pub key_id: String,
    /// How often since the last report.
    pub hits: u64,
}

/// What is told of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VolumeNews {
    /// Its id.
    pub volume: [u8; 16],
    /// Path of the lower directory.
    pub place: String,
    /// Its CMKs by id, and the version that no header is older than; 0: not known.
    pub floors: Vec<(String, u32)>,
    /// When a whole walk counted: seconds since 1970; 0 if none did.
    pub counted: u64,
    /// What it counted: CMK, version, headers.
    pub counts: Vec<(String, u32, u64)>,
}

/// A volume that the service knows of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownVolume {
    /// Its id in hexadecimal digits.
    pub volume: String,
    /// Where it lies.
    pub place: String,
    /// As in [`VolumeNews`].
    pub floors: Vec<(String, u32)>,
    /// CMK, version, headers; as of `counted`.
    pub counts: Vec<(String, u32, u64)>,
    /// Seconds since 1970; 0 for never.
    pub counted: u64,
}

/// A question.
#[derive(Debug, Encode, Decode)]
pub enum Ask {
    /// Makes `count` data keys, each with an id of its own. Answer: [`Answer::Fresh`].
    Generate {
        /// For whom.
        caller: OnBehalf,
        /// Canonical id of the CMK.
        key_id: String,
        /// Volume.
        volume: [u8; 16],
        /// Kind of object.
        kind: Kind,
        /// How many, 1 to [`MAX_BATCH`].
        count: u16,
        /// Where the first of the objects will be.
        told: Told,
    },
    /// Makes another data key for an object that has one. Answer: [`Answer::Fresh`], with one.
    GenerateAgain {
        /// For whom.
        caller: OnBehalf,
        /// Canonical id of the CMK.
        key_id: String,
        /// For which object.
        place: Place,
    },
    /// Unwraps one data key. Answer: [`Answer::Key`].
    Unwrap {
        /// For whom.
        caller: OnBehalf,
        /// Which.
        wrapped: Wrapped,
        /// Where it belongs.
        place: Place,
        /// Where the object is.
        told: Told,
    },
    /// Unwraps data keys that are likely to be wanted next, each decided and recorded by itself.
    /// Answer: [`Answer::Keys`], as many and in the same order.
    UnwrapAhead {
        /// For whom.
        caller: OnBehalf,
        /// Which, and where they belong; 1 to [`MAX_BATCH`].
        items: Vec<(Wrapped, Place)>,
    },
    /// Decides whether a data key could be made. Answer: [`Answer::Done`] for yes.
    AuthorizeGenerate {
        /// For whom.
        caller: OnBehalf,
        /// Id of the CMK.
        key_id: String,
        /// For which object.
        place: Place,
        /// Where the object will be.
        told: Told,
    },
    /// Decides whether a data key could be unwrapped. Answer: [`Answer::Done`] for yes.
    AuthorizeUnwrap {
        /// For whom.
        caller: OnBehalf,
        /// Which.
        wrapped: Wrapped,
        /// Where it belongs.
        place: Place,
        /// Where the object is.
        told: Told,
    },
    /// Reports uses that were answered from a cache. Answer: [`Answer::Done`].
    CachedUses(Vec<CachedUse>),
    /// Reports an object that failed authentication. Answer: [`Answer::Done`].
    Tamper {
        /// Who met it.
        caller: OnBehalf,
        /// Where.
        place: Place,
        /// Id or encrypted name of the object.
        object: String,
        /// What was wrong.
        what: String,
    },
    /// The id of the managed key, which is made if it is not there. Answer: [`Answer::Text`].
    ManagedKey,
    /// The id of the key behind an id, alias or ARN. Answer: [`Answer::Text`] or
    /// [`Answer::Failed`].
    Resolve(String),
    /// Seals a data key under another CMK, or under the current version of its own. Answer:
    /// [`Answer::Rewrapped`].
    Rewrap {
        /// For whom.
        caller: OnBehalf,
        /// Which.
        wrapped: Wrapped,
        /// Where it belongs.
        place: Place,
        /// Id of the CMK to be.
        to: String,
    },
    /// Seals data keys again, 1 to [`MAX_BATCH`], each decided by itself, all of them in one
    /// record. Answer: [`Answer::Resealed`], as many and in the same order.
    Reseal {
        /// For whom.
        caller: OnBehalf,
        /// Which, where they belong, and the number of the suite that the header says.
        items: Vec<(Wrapped, Place, u8)>,
        /// Id of the CMK to be; each key's own when `None`.
        to: Option<String>,
    },
    /// Tells of a volume. Answer: [`Answer::Floors`].
    Volume(VolumeNews),
    /// The volumes that use a key, by any name. Answer: [`Answer::Usage`] or [`Answer::Failed`].
    KeyUsage(String),
    /// Destroys a version of a key that no volume needs. Answer: [`Answer::InTheWay`], with
    /// nobody in it if that was done, or [`Answer::Failed`].
    RetireVersion {
        /// The key, by any name.
        key: String,
        /// Number of the version.
        version: u32,
    },
    /// Marks a version of a key as compromised. Answer: [`Answer::Version`], the one that seals
    /// now, or [`Answer::Failed`].
    CompromiseVersion {
        /// The key, by any name.
        key: String,
        /// Number of the version.
        version: u32,
    },
    /// Forgets the volumes at a place. Answer: [`Answer::Version`], their number, or
    /// [`Answer::Failed`].
    ForgetVolume(String),
    /// The version of a CMK that seals now, by the CMK's id. Answer: [`Answer::Version`].
    CurrentVersion(String),
    /// One action of the KMS API, as the peer itself. Answer: [`Answer::Api`] or
    /// [`Answer::Failed`].
    Api(Compat<Box<Request>>),
    /// Administration of users, as the peer itself. Answer: [`Answer::Iam`] or
    /// [`Answer::Failed`].
    Iam(Compat<IamRequest>),
}

/// An answer.
#[derive(Debug, Encode, Decode)]
pub enum Answer {
    /// Yes, or done.
    Done,
    /// A data key.
    Key(KeyBytes),
    /// Data keys, where there was one to be had.
    Keys(Vec<Option<KeyBytes>>),
    /// Fresh data keys.
    Fresh(Vec<Fresh>),
    /// A data key, sealed anew.
    Rewrapped(Wrapped),
    /// Data keys sealed anew, each with the key that signs its header; or why not.
    Resealed(Vec<Result<(Wrapped, KeyBytes), Refusal>>),
    /// Of each CMK of a volume, the version that no header is older than.
    Floors(Vec<(String, u32)>),
    /// Who uses a key.
    Usage {
        /// Its id.
        key_id: String,
        /// The version that seals now.
        current: u32,
        /// The volumes.
        volumes: Vec<KnownVolume>,
    },
    /// The volumes that may need a version still.
    InTheWay(Vec<KnownVolume>),
    /// Number of a version.
    Version(u32),
    /// A key id.
    Text(String),
    /// An action's reply.
    Api(Compat<Box<Reply>>),
    /// The reply of user administration.
    Iam(Compat<IamReply>),
    /// The action failed, as AWS has it fail.
    Failed(Compat<KmsError>),
    /// No key.
    No(Refusal),
    /// The answer within, and it is good for this one request: another program of the same user
    /// may get another one.
    Once(Box<Answer>),
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Refusal {
    /// Policy says no.
    Denied,
    /// The CMK is disabled, pending deletion or unknown.
    Unusable,
    /// The wrapped key does not authenticate.
    Corrupt,
    /// The service could not decide: its audit trail or its store fails.
    Unavailable,
    /// The peer may not ask this, or the question makes no sense.
    BadRequest,
    /// A policy in force asks where the object is, and nothing was told of it.
    PathWanted,
}

/// A fresh data key.
#[derive(Debug, Encode, Decode)]
pub struct Fresh {
    /// Id of the object to be.
    pub id: [u8; 16],
    /// The key.
    pub key: KeyBytes,
    /// The key under the CMK.
    pub wrapped: Wrapped,
}

/// A data key in a frame: read into locked memory, printed by nobody.
#[derive(Debug)]
pub struct KeyBytes(pub Secret<[u8; 32]>);

impl Encode for KeyBytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        encoder.writer().write(self.0.expose())
    }
}

impl<C> Decode<C> for KeyBytes {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decoder.claim_bytes_read(32)?;
        let mut outcome = Ok(());
        let key = Secret::new_with(|bytes| outcome = decoder.reader().read(bytes));
        outcome.map(|()| Self(key))
    }
}

impl<'de, C> bincode::BorrowDecode<'de, C> for KeyBytes {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}
