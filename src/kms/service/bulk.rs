//! The calls of the filesystem: many data keys at once, each decided and recorded, with one
//! flush of the audit trail for all of them.

use serde::{Deserialize, Serialize};

use super::Service;
use super::call::Call;
use super::crypto::Found;
use super::front::unrecorded;
use super::lookup::{Named, Naming};
use crate::kms::api::types::{EncryptionContext, Plaintext};
use crate::kms::audit::Record;
use crate::kms::authz::{Authorized, DIRECTORY, FILE, VOLUME, may};
use crate::kms::caller::{CallerContext, Principal};
use crate::kms::error::{InternalFault, KmsError, Violation};
use crate::kms::hex;
use crate::kms::id::{KeyId, key_arn};
use crate::kms::key::Gate;
use crate::kms::policy::{AsksAbout, Where, asks_about};
use crate::secret::Secret;

/// Most keys of one [`Service::generate_batch`].
pub const MAX_BATCH: usize = 256;

/// What fresh data keys are for. The ids are chosen by the service at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FreshFor {
    /// A volume descriptor: the context is the volume alone and the id of the result all zero.
    Volume,
    /// A directory: the context has `kmsfs:directory`.
    Directory,
    /// A file: the context has `kmsfs:file`.
    File,
}

impl FreshFor {
    /// The encryption context of an object of `volume`.
    pub fn context(self, volume: [u8; 16], id: [u8; 16]) -> EncryptionContext {
        let mut context = EncryptionContext::new();
        context.insert(VOLUME.to_owned(), hex::encode(&volume));
        match self {
            FreshFor::Volume => None,
            FreshFor::Directory => context.insert(DIRECTORY.to_owned(), hex::encode(&id)),
            FreshFor::File => context.insert(FILE.to_owned(), hex::encode(&id)),
        };
        context
    }
}

/// A data key that nothing has used yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct FreshDataKey {
    /// Id of the object to be; part of the encryption context.
    pub id: [u8; 16],
    /// The CMK.
    pub key_id: KeyId,
    /// The version of the CMK that sealed it.
    pub version: u32,
    /// 32 bytes.
    pub key: Plaintext,
    /// The key, sealed: at most 320 bytes.
    pub wrapped: Vec<u8>,
}

/// A data key to open, or to decide about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wrapped {
    /// The sealed key.
    pub blob: Vec<u8>,
    /// The key that the file says it is under; the blob must agree.
    pub key_id: KeyId,
    /// The context that it was sealed with.
    pub context: EncryptionContext,
}

/// A data key sealed again under the current version of a CMK.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rewrapped {
    /// The CMK.
    pub key_id: KeyId,
    /// The version of the CMK that sealed it.
    pub version: u32,
    /// The sealed key.
    pub blob: Vec<u8>,
}

impl Service {
    /// Makes `count` (1 to 256) data keys under `key` (key id, ARN or alias) for objects of
    /// `volume`, on one decision and with one record. The decision is for GenerateDataKey with
    /// the context of the first key; every key is bound to its own.
    pub fn generate_batch(
        &self,
        caller: &CallerContext,
        key: &str,
        volume: [u8; 16],
        what: FreshFor,
        count: usize,
    ) -> Result<Vec<FreshDataKey>, KmsError> {
        if count == 0 || count > MAX_BATCH {
            return Err(Violation::TooMany { member: "count".into(), max: MAX_BATCH }.into());
        }
        let fresh_id = || match what {
            FreshFor::Volume => [0; 16],
            _ => *Secret::<[u8; 16]>::random().expose(),
        };
        let ids = (0..count).map(|_| fresh_id()).collect();
        let mut call = Call::new(self, caller, "GenerateDataKey", true);
        let made = self.generate(&mut call, key, volume, what, ids);
        self.recorded(vec![call.into_record(made.as_ref().err())])?;
        made
    }

    /// Makes another data key for the object `id`, which has one: on a decision and with a record
    /// of its own.
    pub fn generate_again(
        &self,
        caller: &CallerContext,
        key: &str,
        volume: [u8; 16],
        what: FreshFor,
        id: [u8; 16],
    ) -> Result<FreshDataKey, KmsError> {
        let mut call = Call::new(self, caller, "GenerateDataKey", true);
        call.additional("again", true);
        let made = self.generate(&mut call, key, volume, what, vec![id]);
        self.recorded(vec![call.into_record(made.as_ref().err())])?;
        made?.pop().ok_or_else(|| InternalFault::Record.into())
    }

    /// Decides GenerateDataKey for `caller` on an object with `context`, recorded, without
    /// making a key: for keys that were made ahead.
    pub fn authorize_generate(
        &self,
        caller: &CallerContext,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        let mut call = Call::new(self, caller, "GenerateDataKey", true);
        call.additional("decisionOnly", true);
        let decided = self.decide_generate(&mut call, key, context);
        self.recorded(vec![call.into_record(decided.as_ref().err())])?;
        decided
    }

    /// Opens data keys, each for its own caller; one flush of the audit trail for all.
    pub fn unwrap_batch(
        &self,
        items: &[(CallerContext, Wrapped)],
    ) -> Vec<Result<Plaintext, KmsError>> {
        self.each(items, |call, wrapped| self.unwrap_one(call, wrapped))
    }

    /// [`Service::unwrap_batch`] for keys that nobody asked for yet, but is likely to: the
    /// records say so, so that whoever asks who opened what can tell.
    pub fn unwrap_ahead(
        &self,
        items: &[(CallerContext, Wrapped)],
    ) -> Vec<Result<Plaintext, KmsError>> {
        self.each(items, |call, wrapped| {
            call.additional("ahead", true);
            self.unwrap_one(call, wrapped)
        })
    }

    /// The ARN of a key given by its id: a volume's key may be of another account than the user,
    /// where the bare id would mean nothing. Other names stay as they are.
    fn in_full(&self, key: &str) -> String {
        let found = key.parse().ok().and_then(|id| self.key(id).ok().flatten());
        found.map_or_else(|| key.to_owned(), |key| key.arn.clone())
    }

    /// What a decision about `principal` on `key` (key id, ARN or alias) may depend on, besides
    /// what every request tells.
    pub fn asks_about(&self, principal: &Principal, key: &str) -> AsksAbout {
        let key = match key.parse() {
            Ok(id) => self.key(id).ok().flatten(),
            Err(_) => self.named(principal, key, Naming::KeyOrAlias).ok().map(|named| named.key),
        };
        let in_key =
            key.map(|key| asks_about(&key.policy, Where::Key, principal, &key.record.account));
        let identity = self.identity_policies(principal).unwrap_or_default();
        let in_identity = identity
            .iter()
            .enumerate()
            .map(|(at, policy)| asks_about(policy, Where::Identity(at), principal, &self.account));
        in_identity.fold(in_key.unwrap_or_default(), |all, asks| all | asks)
    }

    /// Decides Decrypt on the key that a file names.
    fn find_wrapped<'w>(
        &self,
        call: &mut Call<'_>,
        wrapped: &'w Wrapped,
    ) -> Result<(Found<'w>, Authorized<may::Decrypt>), KmsError> {
        let named = match self.key(wrapped.key_id)? {
            Some(key) => Named { key, alias: None },
            None => {
                let id = wrapped.key_id.to_string();
                self.named(&call.caller.principal, &id, Naming::KeyOnly)?
            }
        };
        self.find_named(call, &wrapped.blob, Some(named), &wrapped.context, None)
    }

    fn unwrap_one(&self, call: &mut Call<'_>, wrapped: &Wrapped) -> Result<Plaintext, KmsError> {
        let (found, ok) = self.find_wrapped(call, wrapped)?;
        self.open(ok, &found, &wrapped.context).map(|(plaintext, _)| Plaintext(plaintext))
    }

    /// Decides Decrypt for each caller, recorded, without opening anything.
    pub fn authorize_batch(&self, items: &[(CallerContext, Wrapped)]) -> Vec<Result<(), KmsError>> {
        self.each(items, |call, wrapped| {
            call.additional("decisionOnly", true);
            let (found, ok) = self.find_wrapped(call, wrapped)?;
            let key = ok.into_target();
            found.trusted(&key)?;
            key.admits(Gate::Use)
        })
    }

    /// Seals a data key again under the current version of `to` (its own CMK when `None`), with
    /// the same context. The data key does not leave the service.
    pub fn rewrap(
        &self,
        caller: &CallerContext,
        wrapped: &Wrapped,
        to: Option<&str>,
    ) -> Result<Rewrapped, KmsError> {
        let mut call = Call::new(self, caller, "ReEncrypt", true);
        call.parameter(
            "destinationKeyId",
            to.unwrap_or(&self.in_full(&wrapped.key_id.to_string())),
        );
        call.encryption("sourceEncryptionContext", &wrapped.context);
        call.encryption("destinationEncryptionContext", &wrapped.context);
        let done = self.rewrap_one(&mut call, wrapped, to).map(|(rewrapped, _)| rewrapped);
        self.recorded(vec![call.into_record(done.as_ref().err())])?;
        done
    }

    /// The id of the key behind a key id, ARN or alias; for one who may DescribeKey it.
    pub fn resolve(&self, caller: &CallerContext, key: &str) -> Result<KeyId, KmsError> {
        let mut call = Call::new(self, caller, "DescribeKey", true);
        call.parameter("keyId", key);
        let found = self.named(&caller.principal, key, Naming::KeyOrAlias).and_then(|named| {
            call.resource(&named.key.arn);
            let alias = named.alias.as_deref();
            call.may_on_key::<may::DescribeKey>(&named.key, alias, None, |_| {})
        });
        let found = found.map(|ok| ok.into_target().id());
        self.recorded(vec![call.into_record(found.as_ref().err())])?;
        found
    }

    /// Records that an object failed authentication. `object` is an encrypted name or an id.
    pub fn report_tamper(
        &self,
        caller: &CallerContext,
        context: &EncryptionContext,
        object: &str,
        what: &str,
    ) -> Result<(), KmsError> {
        let mut call = Call::new(self, caller, "ReportTamper", false);
        call.source = "kmsfs.amazonaws.com";
        call.encryption("encryptionContext", context);
        call.parameter("object", clipped(object));
        call.parameter("finding", clipped(what));
        self.recorded(vec![call.into_record(None)])
    }

    /// Records that decisions were answered from a cache `hits` times since the last such record.
    pub fn report_cached(
        &self,
        caller: &CallerContext,
        key_id: KeyId,
        hits: u64,
    ) -> Result<(), KmsError> {
        let mut call = Call::new(self, caller, "Decrypt", true);
        call.resource(&key_arn(&self.region, &self.account, key_id));
        call.additional("cached", hits);
        self.recorded(vec![call.into_record(None)])
    }

    fn generate(
        &self,
        call: &mut Call<'_>,
        key: &str,
        volume: [u8; 16],
        what: FreshFor,
        ids: Vec<[u8; 16]>,
    ) -> Result<Vec<FreshDataKey>, KmsError> {
        let count = ids.len();
        let first = what.context(volume, ids.first().copied().unwrap_or_default());
        call.parameter("keyId", key);
        call.parameter("keySpec", "AES_256");
        call.encryption("encryptionContext", &first);
        if count > 1 {
            call.additional("count", count);
        }
        let Named { key, alias } =
            self.named(&call.caller.principal, &self.in_full(key), Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok =
            call.may_on_key::<may::GenerateDataKey>(&key, alias.as_deref(), Some(&first), |_| {})?;
        let key = ok.into_target();
        key.encrypts("GenerateDataKey", None)?;
        key.admits(Gate::Use)?;
        ids.into_iter()
            .map(|id| {
                let data_key = Secret::<[u8; 32]>::random();
                let context = what.context(volume, id);
                let (wrapped, version) = self.seal_under(&key, &context, data_key.expose())?;
                let plaintext = Plaintext::new(data_key.expose().to_vec());
                let version = version.version.0;
                Ok(FreshDataKey { id, key_id: key.id(), version, key: plaintext, wrapped })
            })
            .collect()
    }

    fn decide_generate(
        &self,
        call: &mut Call<'_>,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<(), KmsError> {
        call.parameter("keyId", key);
        call.encryption("encryptionContext", context);
        let Named { key, alias } =
            self.named(&call.caller.principal, &self.in_full(key), Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok =
            call.may_on_key::<may::GenerateDataKey>(&key, alias.as_deref(), Some(context), |_| {})?;
        ok.into_target().admits(Gate::Use)
    }

    /// The one way to seal a data key again. Gives the data key besides, for what is derived from
    /// it; nobody outside of the service sees that.
    pub(super) fn rewrap_one(
        &self,
        call: &mut Call<'_>,
        wrapped: &Wrapped,
        to: Option<&str>,
    ) -> Result<(Rewrapped, Secret<Vec<u8>>), KmsError> {
        let source = self.in_full(&wrapped.key_id.to_string());
        let destination = to.unwrap_or(&source);
        let to =
            self.named(&call.caller.principal, &self.in_full(destination), Naming::KeyOrAlias)?;
        call.resource(&to.key.arn);
        let (found, from_ok) = self.find::<may::ReEncryptFrom>(
            call,
            &wrapped.blob,
            Some(&source),
            &wrapped.context,
            Some(&to.key),
        )?;
        let same = if found.key.id() == to.key.id() { "true" } else { "false" };
        let to_ok = call.may_on_key::<may::ReEncryptTo>(
            &to.key,
            to.alias.as_deref(),
            Some(&wrapped.context),
            |context| context.one("kms:ReEncryptOnSameKey", same),
        )?;
        let (plaintext, _) = self.open(from_ok, &found, &wrapped.context)?;
        let (blob, version) = self.seal(to_ok, &wrapped.context, plaintext.expose(), false)?;
        let rewrapped = Rewrapped { key_id: to.key.id(), version: version.version.0, blob };
        Ok((rewrapped, plaintext))
    }

    /// Runs `work` on each item, records all outcomes with one flush, and gives them out.
    fn each<R>(
        &self,
        items: &[(CallerContext, Wrapped)],
        work: impl Fn(&mut Call<'_>, &Wrapped) -> Result<R, KmsError>,
    ) -> Vec<Result<R, KmsError>> {
        let mut records = Vec::with_capacity(items.len());
        let mut outcomes = Vec::with_capacity(items.len());
        for (caller, wrapped) in items {
            let mut call = Call::new(self, caller, "Decrypt", true);
            call.encryption("encryptionContext", &wrapped.context);
            let outcome = work(&mut call, wrapped);
            records.push(call.into_record(outcome.as_ref().err()));
            outcomes.push(outcome);
        }
        if let Err(error) = self.recorded(records) {
            return items.iter().map(|_| Err(error.clone())).collect();
        }
        outcomes
    }

    pub(super) fn recorded(&self, records: Vec<Record>) -> Result<(), KmsError> {
        self.trail.record(&records).map_err(|_| unrecorded())
    }
}

/// Enough of a text to know it again, so that nobody can fill the trail with one call.
fn clipped(text: &str) -> String {
    text.chars().take(512).collect()
}
