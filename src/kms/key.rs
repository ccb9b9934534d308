//! A CMK as the service works with it: its records, its compiled policy, and what its state
//! allows.

use super::api::KeyMetadata;
use super::api::types::{EncryptionAlgorithm, KeySpec, KeyState, KeyUsage, Timestamp};
use super::error::{KmsError, StateFault};
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
        Key { record, arn, policy, versions, aliases }
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.record.id
    }

    /// The version of that number, if the key has it.
    pub fn version(&self, number: KeyVersion) -> Option<&VersionRecord> {
        self.versions.iter().find(|v| v.version == number)
    }

    /// Whether the key's state lets an operation of that kind through.
    pub fn admits(&self, gate: Gate) -> Result<(), KmsError> {
        let fault = |state| Err(KmsError::InvalidState { arn: self.arn.clone(), state });
        match (gate, self.record.state) {
            (Gate::Any, _)
            | (Gate::Cancel, KeyState::PendingDeletion)
            | (Gate::Use, KeyState::Enabled | KeyState::Updating)
            | (
                Gate::Toggle | Gate::Annotate | Gate::Schedule,
                KeyState::Enabled | KeyState::Disabled | KeyState::Unavailable,
            )
            | (Gate::Annotate | Gate::Schedule, KeyState::PendingImport) => Ok(()),
            (Gate::Cancel, _) => fault(StateFault::NotPendingDeletion),
            (Gate::Use, KeyState::Disabled) => Err(KmsError::Disabled { arn: self.arn.clone() }),
            (_, KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => {
                fault(StateFault::PendingDeletion)
            }
            (_, KeyState::PendingImport) => fault(StateFault::PendingImport),
            (_, KeyState::Unavailable) => fault(StateFault::Unavailable),
            (_, _) => fault(StateFault::Changing),
        }
    }

    /// Whether the key is for encrypting and can use that algorithm.
    pub fn encrypts(
        &self,
        operation: &str,
        algorithm: Option<EncryptionAlgorithm>,
    ) -> Result<EncryptionAlgorithm, KmsError> {
        if self.record.usage != KeyUsage::EncryptDecrypt {
            return Err(KmsError::InvalidKeyUsage {
                arn: self.arn.clone(),
                usage: self.record.usage.to_string(),
                operation: operation.to_owned(),
            });
        }
        let algorithm = algorithm.unwrap_or(EncryptionAlgorithm::SymmetricDefault);
        if algorithm != EncryptionAlgorithm::SymmetricDefault
            || self.record.spec != KeySpec::SymmetricDefault
        {
            let (algorithm, spec) = (algorithm.to_string(), self.record.spec);
            return Err(KmsError::IncompatibleAlgorithm { algorithm, spec });
        }
        Ok(algorithm)
    }

    /// What DescribeKey shows.
    pub fn metadata(&self) -> KeyMetadata {
        let record = &self.record;
        let encrypts =
            record.usage == KeyUsage::EncryptDecrypt && record.spec == KeySpec::SymmetricDefault;
        KeyMetadata {
            aws_account_id: record.account.to_string(),
            key_id: record.id.to_string(),
            arn: self.arn.clone(),
            creation_date: Timestamp(Millis(record.created)),
            enabled: record.state == KeyState::Enabled,
            description: record.description.clone(),
            key_usage: record.usage,
            key_state: record.state,
            deletion_date: record.deletion.map(|at| Timestamp(Millis(at))),
            origin: record.origin,
            key_manager: record.manager,
            customer_master_key_spec: record.spec,
            key_spec: record.spec,
            encryption_algorithms: encrypts.then(|| vec![EncryptionAlgorithm::SymmetricDefault]),
            multi_region: record.id.multi_region(),
            current_key_material_id: self
                .version(record.current)
                .map(|v| hex::encode(&v.material_id)),
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
                        StateFault::Changing => "changing",
                    },
                    Err(_) => "other",
                };
                assert_eq!(got, cell, "{gate:?} in {state}");
            }
        }
    }
}
