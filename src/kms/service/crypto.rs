//! The actions that use key material.

use super::Service;
use super::asymmetric::dry;
use super::call::Call;
use super::front::Done;
use super::lookup::{Named, Naming};
use crate::kms::api::types::{Blob, EncryptionAlgorithm, EncryptionContext, Plaintext};
use crate::kms::api::{
    DecryptReply, DecryptRequest, EncryptReply, EncryptRequest, GenerateDataKeyReply,
    GenerateDataKeyRequest, GenerateDataKeyWithoutPlaintextReply, GenerateRandomReply,
    GenerateRandomRequest, ReEncryptReply, ReEncryptRequest, Reply,
};
use crate::kms::authz::{Authorized, Permission, may};
use crate::kms::blob::{self, Header};
use crate::kms::error::{InternalFault, KmsError, StateFault};
use crate::kms::hex;
use crate::kms::key::{Gate, Key};
use crate::kms::store::VersionRecord;
use crate::secret::Secret;
use crate::sync::Arc;

/// Permissions under which something may be sealed.
pub(super) trait Seals: Permission {}
impl Seals for may::Encrypt {}
impl Seals for may::ReEncryptTo {}
impl Seals for may::GenerateDataKey {}
impl Seals for may::GenerateDataKeyWithoutPlaintext {}
impl Seals for may::GenerateDataKeyPair {}
impl Seals for may::GenerateDataKeyPairWithoutPlaintext {}

/// Permissions under which a blob may be opened.
pub(super) trait Opens: Permission {
    /// Whether what is opened leaves the service.
    const SHOWN: bool;
}
impl Opens for may::Decrypt {
    const SHOWN: bool = true;
}
impl Opens for may::ReEncryptFrom {
    const SHOWN: bool = false;
}

/// A blob that names a key of this service.
pub(super) struct Found<'b> {
    pub key: Arc<Key>,
    header: Header,
    sealed: &'b [u8],
}

impl Found<'_> {
    /// Refuses what is under a version that somebody else may have.
    pub(super) fn trusted(&self, key: &Key) -> Result<(), KmsError> {
        if key.version(self.header.version).is_some_and(|version| version.more.compromised) {
            let (arn, state) = (key.arn.clone(), StateFault::Compromised);
            return Err(KmsError::InvalidState { arn, state });
        }
        Ok(())
    }
}

/// What ReEncrypt opened.
struct Opened {
    key: Arc<Key>,
    plaintext: Secret<Vec<u8>>,
    algorithm: EncryptionAlgorithm,
    version: Option<VersionRecord>,
}

/// A data key just made.
struct MadeKey {
    key: Arc<Key>,
    blob: Vec<u8>,
    plaintext: Secret<Vec<u8>>,
    version: VersionRecord,
}

impl Service {
    pub(super) fn encrypt(
        &self,
        call: &mut Call<'_>,
        r: &EncryptRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        call.encryption("encryptionContext", &r.encryption_context);
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::Encrypt>(
            &key,
            alias.as_deref(),
            Some(&r.encryption_context),
            |context| {
                if let Some(algorithm) = r.encryption_algorithm {
                    context.one("kms:EncryptionAlgorithm", algorithm.as_str());
                }
            },
        )?;
        key.admits(Gate::Use)?;
        let algorithm = key.encrypts("Encrypt", r.encryption_algorithm)?;
        call.parameter("encryptionAlgorithm", algorithm.as_str());
        let context = &r.encryption_context;
        let blob = if algorithm == EncryptionAlgorithm::SymmetricDefault {
            self.seal(ok, context, r.plaintext.expose(), r.dry_run)?.0
        } else {
            self.seal_rsa(ok, algorithm, context, r.plaintext.expose(), r.dry_run)?
        };
        self.used(call, &key);
        Done::read(Reply::Encrypt(EncryptReply {
            ciphertext_blob: Blob(blob),
            key_id: key.arn.clone(),
            encryption_algorithm: algorithm,
        }))
    }

    pub(super) fn decrypt(
        &self,
        call: &mut Call<'_>,
        r: &DecryptRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.encryption("encryptionContext", &r.encryption_context);
        if let Some(id) = &r.key_id {
            call.parameter("keyId", id.as_str());
        }
        let blob = &r.ciphertext_blob.0;
        if let Some(rsa) = self.find_rsa(call, blob, r.key_id.as_deref())? {
            let algorithm = r.encryption_algorithm;
            let context = &r.encryption_context;
            let (plaintext, algorithm) =
                self.open_rsa::<may::Decrypt>(call, "Decrypt", &rsa, algorithm, context, blob)?;
            dry(r.dry_run)?;
            return Done::read(Reply::Decrypt(DecryptReply {
                key_id: rsa.key.arn.clone(),
                plaintext: Plaintext(plaintext),
                encryption_algorithm: algorithm,
                key_material_id: None,
            }));
        }
        let (found, ok) = self.find::<may::Decrypt>(
            call,
            blob,
            r.key_id.as_deref(),
            &r.encryption_context,
            None,
        )?;
        let algorithm = found.key.encrypts("Decrypt", r.encryption_algorithm)?;
        call.parameter("encryptionAlgorithm", algorithm.as_str());
        let (plaintext, version) = self.open(ok, &found, &r.encryption_context)?;
        dry(r.dry_run)?;
        self.used(call, &found.key);
        Done::read(Reply::Decrypt(DecryptReply {
            key_id: found.key.arn.clone(),
            plaintext: Plaintext(plaintext),
            encryption_algorithm: algorithm,
            key_material_id: Some(hex::encode(&version.material_id)),
        }))
    }

    pub(super) fn re_encrypt(
        &self,
        call: &mut Call<'_>,
        r: &ReEncryptRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("destinationKeyId", r.destination_key_id.as_str());
        call.encryption("sourceEncryptionContext", &r.source_encryption_context);
        call.encryption("destinationEncryptionContext", &r.destination_encryption_context);
        let principal = &call.caller.principal;
        let to = self.named(principal, &r.destination_key_id, Naming::KeyOrAlias)?;
        call.resource(&to.key.arn);
        let opened = self.open_source(call, r, &to.key)?;
        let same = same_key(&opened.key, &to.key);
        let context = &r.destination_encryption_context;
        let to_ok = call.may_on_key::<may::ReEncryptTo>(
            &to.key,
            to.alias.as_deref(),
            Some(context),
            |context| context.one("kms:ReEncryptOnSameKey", same),
        )?;
        to.key.admits(Gate::Use)?;
        let algorithm = to.key.encrypts("ReEncrypt", r.destination_encryption_algorithm)?;
        let plaintext = opened.plaintext.expose();
        let (blob, new) = if algorithm == EncryptionAlgorithm::SymmetricDefault {
            let (blob, version) = self.seal(to_ok, context, plaintext, r.dry_run)?;
            (blob, Some(version))
        } else {
            (self.seal_rsa(to_ok, algorithm, context, plaintext, r.dry_run)?, None)
        };
        self.used(call, &opened.key);
        self.used(call, &to.key);
        Done::read(Reply::ReEncrypt(ReEncryptReply {
            ciphertext_blob: Blob(blob),
            source_key_id: opened.key.arn.clone(),
            key_id: to.key.arn.clone(),
            source_encryption_algorithm: opened.algorithm,
            destination_encryption_algorithm: algorithm,
            source_key_material_id: opened.version.map(|v| hex::encode(&v.material_id)),
            destination_key_material_id: new.map(|v| hex::encode(&v.material_id)),
        }))
    }

    /// The first half of ReEncrypt.
    fn open_source(
        &self,
        call: &mut Call<'_>,
        r: &ReEncryptRequest,
        to: &Arc<Key>,
    ) -> Result<Opened, KmsError> {
        let (blob, context) = (&r.ciphertext_blob.0, &r.source_encryption_context);
        let source = r.source_key_id.as_deref();
        if let Some(rsa) = self.find_rsa(call, blob, source)? {
            let algorithm = r.source_encryption_algorithm;
            let (plaintext, algorithm) = self.open_rsa::<may::ReEncryptFrom>(
                call,
                "ReEncrypt",
                &rsa,
                algorithm,
                context,
                blob,
            )?;
            return Ok(Opened { key: rsa.key, plaintext, algorithm, version: None });
        }
        let (found, ok) = self.find::<may::ReEncryptFrom>(call, blob, source, context, Some(to))?;
        found.key.admits(Gate::Use)?;
        let algorithm = found.key.encrypts("ReEncrypt", r.source_encryption_algorithm)?;
        let (plaintext, version) = self.open(ok, &found, context)?;
        Ok(Opened { key: found.key, plaintext, algorithm, version: Some(version) })
    }

    pub(super) fn generate_data_key(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let MadeKey { key, blob, plaintext, version } =
            self.make_data_key::<may::GenerateDataKey>(call, r)?;
        Done::read(Reply::GenerateDataKey(GenerateDataKeyReply {
            ciphertext_blob: Blob(blob),
            plaintext: Plaintext(plaintext),
            key_id: key.arn.clone(),
            key_material_id: Some(hex::encode(&version.material_id)),
        }))
    }

    pub(super) fn generate_sealed_key(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let MadeKey { key, blob, version, .. } =
            self.make_data_key::<may::GenerateDataKeyWithoutPlaintext>(call, r)?;
        let reply = GenerateDataKeyWithoutPlaintextReply {
            ciphertext_blob: Blob(blob),
            key_id: key.arn.clone(),
            key_material_id: Some(hex::encode(&version.material_id)),
        };
        Done::read(Reply::GenerateDataKeyWithoutPlaintext(reply))
    }

    pub(super) fn generate_random(
        &self,
        call: &mut Call<'_>,
        r: &GenerateRandomRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let length = r.length()?;
        call.parameter("numberOfBytes", length);
        let _ok = call.may::<may::GenerateRandom>("*", |_| {})?;
        if let Some(id) = &r.custom_key_store_id {
            self.random_from(call.account(), id)?;
        }
        let plaintext = Plaintext(random(length)?);
        Done::read(Reply::GenerateRandom(GenerateRandomReply { plaintext }))
    }

    fn make_data_key<A: Seals>(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyRequest,
    ) -> Result<MadeKey, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        call.encryption("encryptionContext", &r.encryption_context);
        match r.key_spec {
            Some(spec) => call.parameter("keySpec", spec.as_str()),
            None => call.parameter("numberOfBytes", r.number_of_bytes),
        }
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok =
            call.may_on_key::<A>(&key, alias.as_deref(), Some(&r.encryption_context), |_| {})?;
        key.admits(Gate::Use)?;
        key.encrypts("GenerateDataKey", None)?;
        let plaintext = random(r.length()?)?;
        let (blob, version) =
            self.seal(ok, &r.encryption_context, plaintext.expose(), r.dry_run)?;
        self.used(call, &key);
        Ok(MadeKey { key, blob, plaintext, version })
    }

    /// Finds the key that a blob names and decides about it. `named` is the key that the caller
    /// believes in; without it an unknown key and a forbidden one look alike.
    pub(super) fn find<'b, A: Opens>(
        &self,
        call: &mut Call<'_>,
        blob: &'b [u8],
        named: Option<&str>,
        encryption: &EncryptionContext,
        destination: Option<&Arc<Key>>,
    ) -> Result<(Found<'b>, Authorized<A>), KmsError> {
        let named = named
            .map(|text| self.named(&call.caller.principal, text, Naming::KeyOrAlias))
            .transpose()?;
        self.find_named(call, blob, named, encryption, destination)
    }

    /// The same, once it is known which key the caller believes in.
    pub(super) fn find_named<'b, A: Opens>(
        &self,
        call: &mut Call<'_>,
        blob: &'b [u8],
        named: Option<Named>,
        encryption: &EncryptionContext,
        destination: Option<&Arc<Key>>,
    ) -> Result<(Found<'b>, Authorized<A>), KmsError> {
        if let Some(named) = &named {
            call.resource(&named.key.arn);
        }
        let (header, sealed) = Header::parse(blob).map_err(|_| KmsError::InvalidCiphertext)?;
        let (key, alias) = match named {
            Some(Named { key, .. }) if key.id() != header.key => {
                // Deciding first, so that only one who may use the key learns that it is the
                // wrong one.
                let _: Authorized<A> = call.may_on_key(&key, None, Some(encryption), |_| {})?;
                return Err(KmsError::IncorrectKey);
            }
            Some(Named { key, alias }) => (key, alias),
            None => (self.key(header.key)?.ok_or(KmsError::CiphertextNotYours)?, None),
        };
        call.resource(&key.arn);
        let ok = call.may_on_key::<A>(&key, alias.as_deref(), Some(encryption), |context| {
            if let Some(to) = destination {
                context.one("kms:ReEncryptOnSameKey", same_key(&key, to));
            }
        })?;
        Ok((Found { key, header, sealed }, ok))
    }

    /// Opens a blob.
    pub(super) fn open<A: Opens>(
        &self,
        ok: Authorized<A>,
        found: &Found<'_>,
        context: &EncryptionContext,
    ) -> Result<(Secret<Vec<u8>>, VersionRecord), KmsError> {
        let key = ok.into_target();
        key.admits(Gate::Use)?;
        let header = &found.header;
        let version = key.version(header.version).ok_or(KmsError::InvalidCiphertext)?;
        if A::SHOWN {
            found.trusted(&key)?;
        }
        if version.sealed.is_empty() {
            // It was retired, and its material destroyed.
            return Err(KmsError::InvalidCiphertext);
        }
        let one_time =
            self.custody.one_time_key(key.id(), version.version, &version.sealed, &header.nonce)?;
        let plaintext = blob::open(header, &one_time, context, found.sealed)
            .map_err(|_| KmsError::InvalidCiphertext)?;
        Ok((plaintext, version.clone()))
    }

    /// Seals under the key's current version. With `dry_run` everything is checked and nothing
    /// done.
    pub(super) fn seal<A: Seals>(
        &self,
        ok: Authorized<A>,
        context: &EncryptionContext,
        plaintext: &[u8],
        dry_run: bool,
    ) -> Result<(Vec<u8>, VersionRecord), KmsError> {
        let key = ok.into_target();
        key.admits(Gate::Use)?;
        if dry_run {
            return Err(KmsError::DryRun);
        }
        self.seal_under(&key, context, plaintext)
    }

    pub(super) fn seal_under(
        &self,
        key: &Key,
        context: &EncryptionContext,
        plaintext: &[u8],
    ) -> Result<(Vec<u8>, VersionRecord), KmsError> {
        let version = key.version(key.record.current).ok_or(InternalFault::Record)?;
        let header = Header::fresh(key.id(), version.version);
        self.sealed_with(key.id(), version.version);
        let one_time =
            self.custody.one_time_key(key.id(), version.version, &version.sealed, &header.nonce)?;
        let blob = blob::seal(&header, &one_time, context, plaintext)
            .map_err(|_| InternalFault::Custody)?;
        Ok((blob, version.clone()))
    }
}

fn same_key(a: &Key, b: &Key) -> &'static str {
    if a.id() == b.id() { "true" } else { "false" }
}

pub(super) fn random(length: usize) -> Result<Secret<Vec<u8>>, KmsError> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|_| InternalFault::Custody)?;
    Ok(Secret::new(bytes))
}
