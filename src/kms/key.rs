//! A CMK as the service works with it: its records, its compiled policy, and what its state
//! allows.

use super::api::types::{
    EncapsulationAlgorithm, EncryptionAlgorithm, ExpirationModel, KeyAgreementAlgorithm, KeySpec,
    KeyState, KeyUsage, MacAlgorithm, Origin, SigningAlgorithm, Timestamp,
};
use super::api::{KeyMetadata, MultiRegionConfiguration, MultiRegionKey, XksKeyConfiguration};
use super::error::{KmsError, StateFault};
use super::grant::GrantRecord;
use super::hex;
use super::id::{KeyId, KeyVersion, Region, key_arn};
use super::policy::Policy;
use super::store::{KeyRecord, VersionRecord};
use crate::clock::Millis;

/// A key with everything that a decision and a use need. Never changed: a change makes a new one.
#[derive(Debug)]
pub struct Key {
    /// The record.
    pub record: KeyRecord,
    /// Its ARN.
    pub arn: String,
    /// Its policy, compiled.
    pub policy: Policy,
    /// All versions of its material, ordered by number.
    pub versions: Vec<VersionRecord>,
    /// Its names, ordered.
    pub aliases: Vec<String>,
    /// The grants on it.
    pub grants: Vec<GrantRecord>,
    /// The keys of the same id in other Regions.
    pub relatives: Relatives,
    /// Whether what holds its material can be reached: a custom key store may not be.
    pub reachable: bool,
}

/// Where the keys of a multi-Region key are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relatives {
    /// Region of the primary; this one when absent.
    pub primary: Option<Region>,
    /// Regions of the replicas, this one too if it is one.
    pub replicas: Vec<Region>,
}

/// Kinds of operations by what key states they accept; the columns of AWS's table of key states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Cryptographic use.
    Use,
    /// EnableKey and DisableKey.
    Toggle,
    /// Changes that a key about to be deleted does not take: description, aliases, tags.
    Annotate,
    /// CreateGrant.
    Grant,
    /// Bringing in material.
    Import,
    /// ScheduleKeyDeletion.
    Schedule,
    /// CancelKeyDeletion.
    Cancel,
    /// Reading about the key and changing its policy.
    Any,
}

impl Key {
    /// Puts the parts together.
    pub fn new(
        region: &Region,
        record: KeyRecord,
        policy: Policy,
        versions: Vec<VersionRecord>,
        aliases: Vec<String>,
    ) -> Key {
        let arn = key_arn(region, &record.account, record.id);
        let relatives = Relatives::default();
        Key {
            record,
            arn,
            policy,
            versions,
            aliases,
            grants: Vec::new(),
            relatives,
            reachable: true,
        }
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.record.id
    }

    /// The version of that number, if the key has it.
    pub fn version(&self, number: KeyVersion) -> Option<&VersionRecord> {
        self.versions.iter().find(|v| v.version == number)
    }

    /// Its state as others see it: usable or not, a key is unavailable while its key store is.
    /// What was said meanwhile (EnableKey, DisableKey) holds from then on.
    pub fn state(&self) -> KeyState {
        match self.record.state {
            KeyState::Enabled | KeyState::Disabled if !self.reachable => KeyState::Unavailable,
            state => state,
        }
    }

    /// Whether the key's state lets an operation of that kind through.
    pub fn admits(&self, gate: Gate) -> Result<(), KmsError> {
        let fault = |state| Err(KmsError::InvalidState { arn: self.arn.clone(), state });
        match (gate, self.state()) {
            (Gate::Any, _)
            | (Gate::Cancel, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion)
            | (Gate::Use, KeyState::Enabled | KeyState::Updating)
            | (Gate::Grant, KeyState::Enabled | KeyState::Unavailable)
            | (Gate::Import, KeyState::Enabled | KeyState::Disabled | KeyState::PendingImport)
            | (
                Gate::Toggle | Gate::Annotate | Gate::Schedule,
                KeyState::Enabled | KeyState::Disabled | KeyState::Unavailable,
            )
            | (Gate::Annotate | Gate::Schedule, KeyState::PendingImport) => Ok(()),
            (Gate::Cancel, _) => fault(StateFault::NotPendingDeletion),
            (Gate::Use | Gate::Grant, KeyState::Disabled) => {
                Err(KmsError::Disabled { arn: self.arn.clone() })
            }
            (_, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => {
                fault(StateFault::PendingDeletion)
            }
            (_, KeyState::PendingImport) => fault(StateFault::PendingImport),
            (_, KeyState::Unavailable) => fault(StateFault::Unavailable),
            (_, _) => fault(StateFault::Changing),
        }
    }

    /// The version that new ciphertexts and signatures use.
    pub fn current(&self) -> Option<&VersionRecord> {
        self.version(self.record.current)
    }

    /// Whether the key is for `usage`.
    pub fn is_for(&self, operation: &str, usage: KeyUsage) -> Result<(), KmsError> {
        if self.record.usage == usage {
            return Ok(());
        }
        Err(KmsError::InvalidKeyUsage {
            arn: self.arn.clone(),
            usage: self.record.usage.to_string(),
            operation: operation.to_owned(),
        })
    }

    /// Whether an algorithm is among those of the key.
    pub fn offers<T: PartialEq + std::fmt::Display>(
        &self,
        algorithms: &[T],
        wanted: &T,
    ) -> Result<(), KmsError> {
        if algorithms.contains(wanted) {
            return Ok(());
        }
        let (algorithm, spec) = (wanted.to_string(), self.record.spec);
        Err(KmsError::IncompatibleAlgorithm { algorithm, spec })
    }

    /// Whether the key is for encrypting and can use that algorithm.
    pub fn encrypts(
        &self,
        operation: &str,
        algorithm: Option<EncryptionAlgorithm>,
    ) -> Result<EncryptionAlgorithm, KmsError> {
        self.is_for(operation, KeyUsage::EncryptDecrypt)?;
        let algorithm = algorithm.unwrap_or(EncryptionAlgorithm::SymmetricDefault);
        self.offers(encryption_algorithms(self.record.spec), &algorithm)?;
        Ok(algorithm)
    }

    /// PRIMARY or REPLICA, of a multi-Region key.
    pub fn multi_region_type(&self) -> &'static str {
        if self.record.more.primary.is_some() { "REPLICA" } else { "PRIMARY" }
    }

    fn multi_region_configuration(&self) -> MultiRegionConfiguration {
        let own = self.arn.split(':').nth(3).unwrap_or_default();
        let in_region = |region: &str| MultiRegionKey {
            arn: self.arn.replacen(&format!(":{own}:"), &format!(":{region}:"), 1),
            region: region.to_owned(),
        };
        let Relatives { primary, replicas } = &self.relatives;
        MultiRegionConfiguration {
            multi_region_key_type: self.multi_region_type().to_owned(),
            primary_key: in_region(primary.as_ref().map_or(own, Region::as_str)),
            replica_keys: replicas.iter().map(|region| in_region(region.as_str())).collect(),
        }
    }

    /// What DescribeKey shows.
    pub fn metadata(&self) -> KeyMetadata {
        let record = &self.record;
        let (spec, usage) = (record.spec, record.usage);
        let external = record.origin == Origin::External;
        let present = external && self.current().is_some_and(|v| !v.sealed.is_empty());
        let valid_to = record.more.expiry.filter(|_| present);
        KeyMetadata {
            aws_account_id: record.account.to_string(),
            key_id: record.id.to_string(),
            arn: self.arn.clone(),
            creation_date: Timestamp(Millis(record.created)),
            enabled: self.state() == KeyState::Enabled,
            description: record.description.clone(),
            key_usage: record.usage,
            key_state: self.state(),
            deletion_date: record.deletion.map(|at| Timestamp(Millis(at))),
            valid_to: valid_to.map(|at| Timestamp(Millis(at))),
            origin: record.origin,
            expiration_model: present.then_some(match valid_to {
                Some(_) => ExpirationModel::Expires,
                None => ExpirationModel::DoesNotExpire,
            }),
            key_manager: record.manager,
            customer_master_key_spec: record.spec,
            key_spec: record.spec,
            encryption_algorithms: (usage == KeyUsage::EncryptDecrypt)
                .then(|| encryption_algorithms(spec).to_vec()),
            signing_algorithms: (usage == KeyUsage::SignVerify)
                .then(|| signing_algorithms(spec).to_vec()),
            key_agreement_algorithms: (usage == KeyUsage::KeyAgreement)
                .then(|| vec![KeyAgreementAlgorithm::Ecdh]),
            encapsulation_algorithms: (usage == KeyUsage::EncapsulateDecapsulate)
                .then(|| vec![EncapsulationAlgorithm::MlKem]),
            mac_algorithms: (usage == KeyUsage::GenerateVerifyMac)
                .then(|| mac_algorithms(spec).to_vec()),
            custom_key_store_id: record.more.key_store.as_ref().map(|place| place.store.clone()),
            cloud_hsm_cluster_id: record
                .more
                .key_store
                .as_ref()
                .and_then(|place| place.cluster.clone()),
            xks_key_configuration: record
                .more
                .key_store
                .as_ref()
                .and_then(|place| place.external.clone())
                .map(|id| XksKeyConfiguration { id }),
            multi_region: record.id.multi_region(),
            multi_region_configuration: record
                .id
                .multi_region()
                .then(|| self.multi_region_configuration()),
            pending_deletion_window_in_days: record
                .more
                .window
                .and_then(|days| i32::try_from(days).ok()),
            current_key_material_id: (spec == KeySpec::SymmetricDefault)
                .then(|| self.current().filter(|v| !v.sealed.is_empty() || external))
                .flatten()
                .map(|v| hex::encode(&v.material_id)),
        }
    }
}

/// What keys of a spec can encrypt with.
pub fn encryption_algorithms(spec: KeySpec) -> &'static [EncryptionAlgorithm] {
    match spec {
        KeySpec::SymmetricDefault => &[EncryptionAlgorithm::SymmetricDefault],
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
            &[EncryptionAlgorithm::RsaesOaepSha1, EncryptionAlgorithm::RsaesOaepSha256]
        }
        _ => &[],
    }
}

/// What keys of a spec can sign with.
pub fn signing_algorithms(spec: KeySpec) -> &'static [SigningAlgorithm] {
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
            SigningAlgorithm::RsassaPkcs1Sha256,
            SigningAlgorithm::RsassaPkcs1Sha384,
            SigningAlgorithm::RsassaPkcs1Sha512,
            SigningAlgorithm::RsassaPssSha256,
            SigningAlgorithm::RsassaPssSha384,
            SigningAlgorithm::RsassaPssSha512,
        ],
        KeySpec::EccNistP256 | KeySpec::EccSecgP256k1 => &[SigningAlgorithm::EcdsaSha256],
        KeySpec::EccNistP384 => &[SigningAlgorithm::EcdsaSha384],
        KeySpec::EccNistP521 => &[SigningAlgorithm::EcdsaSha512],
        KeySpec::EccNistEdwards25519 => {
            &[SigningAlgorithm::Ed25519Sha512, SigningAlgorithm::Ed25519PhSha512]
        }
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => {
            &[SigningAlgorithm::MlDsaShake256]
        }
        _ => &[],
    }
}

/// What keys of a spec can make MACs with.
pub fn mac_algorithms(spec: KeySpec) -> &'static [MacAlgorithm] {
    match spec {
        KeySpec::Hmac224 => &[MacAlgorithm::HmacSha224],
        KeySpec::Hmac256 => &[MacAlgorithm::HmacSha256],
        KeySpec::Hmac384 => &[MacAlgorithm::HmacSha384],
        KeySpec::Hmac512 => &[MacAlgorithm::HmacSha512],
        _ => &[],
    }
}

/// What keys of a spec can be for.
pub fn usages(spec: KeySpec) -> &'static [KeyUsage] {
    match spec {
        KeySpec::SymmetricDefault => &[KeyUsage::EncryptDecrypt],
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => {
            &[KeyUsage::EncryptDecrypt, KeyUsage::SignVerify]
        }
        KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => {
            &[KeyUsage::SignVerify, KeyUsage::KeyAgreement]
        }
        KeySpec::EccSecgP256k1
        | KeySpec::EccNistEdwards25519
        | KeySpec::MlDsa44
        | KeySpec::MlDsa65
        | KeySpec::MlDsa87 => &[KeyUsage::SignVerify],
        KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => {
            &[KeyUsage::GenerateVerifyMac]
        }
        KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => {
            &[KeyUsage::EncapsulateDecapsulate]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kms::api::types::{KeyManager, Origin};
    use crate::kms::policy::key_policy;

    fn in_state(state: KeyState) -> Key {
        let record = KeyRecord {
            id: KeyId::random(),
            account: "111122223333".parse().unwrap(),
            description: String::new(),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::AwsKms,
            manager: KeyManager::Customer,
            state,
            created: 0,
            deletion: None,
            policy: String::new(),
            tags: Vec::new(),
            current: KeyVersion::FIRST,
            more: Default::default(),
        };
        let policy = key_policy(
            r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}"#,
        );
        let region = "local-1".parse().unwrap();
        Key::new(&region, record, policy.unwrap(), Vec::new(), Vec::new())
    }

    /// One row per kind of operation: Enabled, Disabled, PendingDeletion, PendingImport,
    /// Unavailable; the letters are those of AWS's table.
    #[test]
    fn the_table_of_key_states() {
        let states = [
            KeyState::Enabled,
            KeyState::Disabled,
            KeyState::PendingDeletion,
            KeyState::PendingImport,
            KeyState::Unavailable,
        ];
        for (gate, row) in [
            (Gate::Use, ["ok", "D", "Q", "I", "U"]),
            (Gate::Toggle, ["ok", "ok", "Q", "I", "ok"]),
            (Gate::Annotate, ["ok", "ok", "Q", "ok", "ok"]),
            (Gate::Schedule, ["ok", "ok", "Q", "ok", "ok"]),
            (Gate::Cancel, ["N", "N", "ok", "N", "N"]),
            (Gate::Grant, ["ok", "D", "Q", "I", "ok"]),
            (Gate::Import, ["ok", "ok", "Q", "ok", "U"]),
            (Gate::Any, ["ok", "ok", "ok", "ok", "ok"]),
        ] {
            for (state, cell) in states.into_iter().zip(row) {
                let got = match in_state(state).admits(gate) {
                    Ok(()) => "ok",
                    Err(KmsError::Disabled { .. }) => "D",
                    Err(KmsError::InvalidState { state, .. }) => match state {
                        StateFault::PendingDeletion => "Q",
                        StateFault::PendingImport => "I",
                        StateFault::NotPendingDeletion => "N",
                        StateFault::Unavailable => "U",
                        _ => "changing",
                    },
                    Err(_) => "other",
                };
                assert_eq!(got, cell, "{gate:?} in {state}");
            }
        }
    }
}
