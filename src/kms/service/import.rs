//! The actions that import key material.
//!
//! Nothing is kept between GetParametersForImport and ImportKeyMaterial: the import token is the
//! private half of the wrapping key, sealed by custody for this one key, with its end. The
//! material in the clear exists for the moment between unwrapping and sealing.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa;
use serde::{Deserialize, Serialize};

use super::Service;
use super::call::Call;
use super::front::Done;
use super::keys::unmanaged;
use super::lookup::{Named, Naming};
use super::rotation::origin;
use crate::clock::Millis;
use crate::kms::api::types::{
    Blob, ExpirationModel, ImportType, KeySpec, KeyState, Origin, Timestamp, WrappingAlgorithm,
    WrappingKeySpec,
};
use crate::kms::api::{
    DeleteImportedKeyMaterialRequest, GetParametersForImportReply, GetParametersForImportRequest,
    ImportKeyMaterialRequest, MaterialReply, Reply,
};
use crate::kms::authz::{Authorized, Permission, may};
use crate::kms::custody::CustodyError;
use crate::kms::error::{InternalFault, KmsError, MaterialFault, Violation};
use crate::kms::hex;
use crate::kms::id::KeyVersion;
use crate::kms::key::{Gate, Key};
use crate::kms::material;
use crate::kms::store::{Change, Imported, KeyRecord, VersionMore, VersionRecord};
use crate::secret::Secret;
use crate::sync::Arc;

const MILLIS_PER_DAY: i64 = 86_400_000;
/// How far away the end of imported material may be.
const MAX_DAYS: i64 = 365;

/// What an import token holds, sealed.
#[derive(Serialize, Deserialize)]
struct Token {
    valid_to: i64,
    algorithm: WrappingAlgorithm,
    private: Vec<u8>,
}

impl Drop for Token {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.private);
    }
}

impl Service {
    pub(super) fn get_parameters_for_import(
        &self,
        call: &mut Call<'_>,
        r: &GetParametersForImportRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let (algorithm, wrapping) = (r.wrapping_algorithm, r.wrapping_key_spec);
        call.parameter("wrappingAlgorithm", algorithm.as_str());
        call.parameter("wrappingKeySpec", wrapping.as_str());
        let ok = self.importing::<may::GetParametersForImport>(call, &r.key_id, |context| {
            context.one("kms:WrappingAlgorithm", algorithm.as_str());
            context.one("kms:WrappingKeySpec", wrapping.as_str());
        })?;
        let key = ok.into_target();
        key.admits(Gate::Import)?;
        wraps(key.record.spec, algorithm, wrapping)?;
        let spec = match wrapping {
            WrappingKeySpec::Rsa2048 => KeySpec::Rsa2048,
            WrappingKeySpec::Rsa3072 => KeySpec::Rsa3072,
            WrappingKeySpec::Rsa4096 => KeySpec::Rsa4096,
        };
        let private = material::generate(spec)?;
        let public = material::public_key(spec, private.expose())?;
        let valid_to = self.now().0.saturating_add(MILLIS_PER_DAY);
        let token = Token { valid_to, algorithm, private: private.expose().to_vec() };
        let encoded = bincode::serde::encode_to_vec(&token, bincode::config::standard())
            .map_err(|_| InternalFault::Custody)?;
        let encoded = zeroize::Zeroizing::new(encoded);
        let sealed = self.custody.seal_secret(&token_name(&key), &encoded)?;
        Done::read(Reply::GetParametersForImport(GetParametersForImportReply {
            key_id: key.arn.clone(),
            import_token: Blob(sealed),
            public_key: Blob(public),
            parameters_valid_to: Timestamp(Millis(valid_to)),
        }))
    }

    pub(super) fn import_key_material(
        &self,
        call: &mut Call<'_>,
        r: &ImportKeyMaterialRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let model = r.expiration_model.unwrap_or(ExpirationModel::Expires);
        call.parameter("expirationModel", model.as_str());
        let ok = self.importing::<may::ImportKeyMaterial>(call, &r.key_id, |context| {
            context.one("kms:ExpirationModel", model.as_str());
            if let Some(at) = r.valid_to {
                context.one("kms:ValidTo", &at.0.seconds().to_string());
            }
        })?;
        let key = ok.into_target();
        key.admits(Gate::Import)?;
        let valid_to = self.end(model, r.valid_to)?;
        let material = self.unwrap_material(&key, r)?;
        let import = Imported { valid_to, description: r.key_material_description.clone() };
        let version = self.place(&key, r, &material, import)?;
        if let Some(expected) = &r.key_material_id
            && *expected != hex::encode(&version.material_id)
        {
            return Err(KmsError::IncorrectKeyMaterial(MaterialFault::Other));
        }
        let key_material_id = Some(hex::encode(&version.material_id));
        let record = settled(&key, &version);
        let changes = vec![Change::PutVersion(version), Change::PutKey(record)];
        let reply = MaterialReply { key_id: key.arn.clone(), key_material_id };
        Done::change(Reply::ImportKeyMaterial(reply), changes)
    }

    pub(super) fn delete_imported_key_material(
        &self,
        call: &mut Call<'_>,
        r: &DeleteImportedKeyMaterialRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let ok = self.importing::<may::DeleteImportedKeyMaterial>(call, &r.key_id, |_| {})?;
        let key = ok.into_target();
        let wanted = match &r.key_material_id {
            Some(id) => key.versions.iter().find(|v| hex::encode(&v.material_id) == *id),
            None => key.current(),
        };
        let version = match (wanted, &r.key_material_id) {
            (Some(version), _) => Some(version.clone()),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(KmsError::IncorrectKeyMaterial(MaterialFault::Other));
            }
        };
        let key_material_id = version.as_ref().map(|v| hex::encode(&v.material_id));
        let changes = version.map_or_else(Vec::new, |version| drop_material(&key, version));
        let reply = MaterialReply { key_id: key.arn.clone(), key_material_id };
        Done::change(Reply::DeleteImportedKeyMaterial(reply), changes)
    }

    /// Removes the material of `key` whose time is over.
    pub(super) fn expire(&self, key: &Key) -> Vec<Change> {
        let now = self.now().0;
        let over = key.versions.iter().filter(|v| {
            let end = v.more.import.as_ref().and_then(|import| import.valid_to);
            !v.sealed.is_empty() && end.is_some_and(|at| at <= now)
        });
        let over: Vec<VersionRecord> = over.cloned().collect();
        let mut versions = key.versions.clone();
        let mut changes = Vec::new();
        for mut version in over {
            version.sealed.clear();
            if let Some(known) = versions.iter_mut().find(|v| v.version == version.version) {
                known.clone_from(&version);
            }
            changes.push(Change::PutVersion(version));
        }
        changes.push(Change::PutKey(with_versions(&key.record, &versions)));
        changes
    }

    fn end(
        &self,
        model: ExpirationModel,
        valid_to: Option<Timestamp>,
    ) -> Result<Option<i64>, KmsError> {
        match (model, valid_to) {
            (ExpirationModel::DoesNotExpire, None) => Ok(None),
            (ExpirationModel::DoesNotExpire, Some(_)) => Err(Violation::ValidToForbidden.into()),
            (ExpirationModel::Expires, None) => Err(Violation::ValidToRequired.into()),
            (ExpirationModel::Expires, Some(Timestamp(at))) => {
                let away = at.0.saturating_sub(self.now().0);
                if (1..=MAX_DAYS.saturating_mul(MILLIS_PER_DAY)).contains(&away) {
                    Ok(Some(at.0))
                } else {
                    Err(Violation::ValidToRange.into())
                }
            }
        }
    }

    fn unwrap_material(
        &self,
        key: &Key,
        r: &ImportKeyMaterialRequest,
    ) -> Result<Secret<Vec<u8>>, KmsError> {
        let opened = self.custody.open_secret(&token_name(key), &r.import_token.0);
        let opened = opened.map_err(|error| match error {
            CustodyError::Unavailable => KmsError::from(error),
            _ => KmsError::InvalidImportToken,
        })?;
        let (token, _): (Token, usize) =
            bincode::serde::decode_from_slice(opened.expose(), bincode::config::standard())
                .map_err(|_| KmsError::InvalidImportToken)?;
        if token.valid_to <= self.now().0 {
            return Err(KmsError::ExpiredImportToken);
        }
        let wrapped = &r.encrypted_key_material.0;
        let oaep = |padding, bytes: &[u8]| {
            material::unwrap_oaep(&token.private, padding, bytes)
                .map_err(|_| KmsError::InvalidCiphertext)
        };
        let (sha1, sha256) = (&rsa::OAEP_SHA1_MGF1SHA1, &rsa::OAEP_SHA256_MGF1SHA256);
        match token.algorithm {
            WrappingAlgorithm::RsaesOaepSha1 => oaep(sha1, wrapped),
            WrappingAlgorithm::RsaesOaepSha256 => oaep(sha256, wrapped),
            WrappingAlgorithm::RsaAesKeyWrapSha1 | WrappingAlgorithm::RsaAesKeyWrapSha256 => {
                let padding = if token.algorithm == WrappingAlgorithm::RsaAesKeyWrapSha1 {
                    sha1
                } else {
                    sha256
                };
                let modulus = rsa::KeyPair::from_pkcs8(&token.private)
                    .map_err(|_| KmsError::InvalidImportToken)?
                    .public_modulus_len();
                let (head, tail) =
                    wrapped.split_at_checked(modulus).ok_or(KmsError::InvalidCiphertext)?;
                let kek = oaep(padding, head)?;
                unwrap_aes(kek.expose(), tail)
            }
        }
    }

    /// Where the material goes: a version that had it, or a new one.
    fn place(
        &self,
        key: &Arc<Key>,
        r: &ImportKeyMaterialRequest,
        material: &Secret<Vec<u8>>,
        import: Imported,
    ) -> Result<VersionRecord, KmsError> {
        let spec = key.record.spec;
        let seal = |number: KeyVersion| {
            self.custody.import(key.id(), number, spec, material).map_err(|error| match error {
                CustodyError::BadInput => KmsError::IncorrectKeyMaterial(MaterialFault::Form),
                other => other.into(),
            })
        };
        for known in &key.versions {
            let made = seal(known.version)?;
            if made.id == known.material_id {
                let mut version = known.clone();
                version.sealed = made.sealed;
                version.more.import = Some(import);
                return Ok(version);
            }
        }
        let first = key.versions.is_empty();
        let kind =
            r.import_type.unwrap_or(if first { ImportType::New } else { ImportType::Existing });
        if kind == ImportType::Existing || (!first && spec != KeySpec::SymmetricDefault) {
            // Not even badly formed material may say more than that it is another.
            return Err(KmsError::IncorrectKeyMaterial(MaterialFault::Other));
        }
        let last = key.versions.last().map_or(0, |v| v.version.0);
        let number = KeyVersion(last.checked_add(1).ok_or(InternalFault::Record)?);
        let made = seal(number)?;
        if let Some(waiting) = key.versions.iter().find(|v| v.more.pending) {
            let (new, waiting) = (hex::encode(&made.id), hex::encode(&waiting.material_id));
            return Err(KmsError::RotationPending { arn: key.arn.clone(), new, waiting });
        }
        Ok(VersionRecord {
            key: key.id(),
            version: number,
            created: self.now().0,
            material_id: made.id,
            sealed: made.sealed,
            more: VersionMore {
                public: made.public,
                import: Some(import),
                rotation: None,
                pending: !first,
                compromised: false,
            },
        })
    }

    fn importing<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        extend: impl FnOnce(&mut crate::kms::policy::Context),
    ) -> Result<Authorized<A>, KmsError> {
        call.parameter("keyId", key_id);
        let Named { key, .. } = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<A>(&key, None, None, extend)?;
        unmanaged(&key)?;
        if key.record.origin != Origin::External {
            return Err(origin(&key));
        }
        Ok(ok)
    }
}

/// The key's record once `version` is among its versions.
fn settled(key: &Key, version: &VersionRecord) -> KeyRecord {
    let mut versions: Vec<VersionRecord> =
        key.versions.iter().filter(|v| v.version != version.version).cloned().collect();
    versions.push(version.clone());
    with_versions(&key.record, &versions)
}

/// The record with the state and the end that follow from the versions: without any of the
/// materials that it uses, a key waits for them.
fn with_versions(record: &KeyRecord, versions: &[VersionRecord]) -> KeyRecord {
    let mut record = record.clone();
    let mut used = versions.iter().filter(|v| !v.more.pending).peekable();
    let complete = used.peek().is_some() && used.all(|v| !v.sealed.is_empty());
    record.state = match (record.state, complete) {
        (KeyState::PendingImport, true) => KeyState::Enabled,
        (KeyState::Enabled | KeyState::Disabled, false) => KeyState::PendingImport,
        (other, _) => other,
    };
    let there = versions.iter().filter(|v| !v.sealed.is_empty());
    record.more.expiry =
        there.filter_map(|v| v.more.import.as_ref().and_then(|import| import.valid_to)).min();
    record
}

fn drop_material(key: &Key, mut version: VersionRecord) -> Vec<Change> {
    version.sealed.clear();
    let record = settled(key, &version);
    vec![Change::PutVersion(version), Change::PutKey(record)]
}

fn token_name(key: &Key) -> String {
    format!("import token of {}", key.arn)
}

/// Whether material of `spec` can be wrapped like that.
fn wraps(
    spec: KeySpec,
    algorithm: WrappingAlgorithm,
    wrapping: WrappingKeySpec,
) -> Result<(), KmsError> {
    let direct =
        matches!(algorithm, WrappingAlgorithm::RsaesOaepSha1 | WrappingAlgorithm::RsaesOaepSha256);
    let fits = match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => !direct,
        KeySpec::EccNistP521 => !direct || wrapping != WrappingKeySpec::Rsa2048,
        _ if material::raw_len(spec).is_some() => direct,
        _ => true,
    };
    let algorithm = algorithm.to_string();
    if fits { Ok(()) } else { Err(Violation::WrappingForSpec { algorithm, spec }.into()) }
}

/// Opens RFC 5649 key wrap.
fn unwrap_aes(kek: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, KmsError> {
    let bad = |_| KmsError::InvalidCiphertext;
    let kek = AesKek::new(&AES_256, kek).map_err(bad)?;
    let mut out = zeroize::Zeroizing::new(vec![0; wrapped.len()]);
    let plain = kek.unwrap_with_padding(wrapped, &mut out).map_err(bad)?;
    Ok(Secret::new(plain.to_vec()))
}
