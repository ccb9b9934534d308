//! What the service does by itself: the managed key, deletions that are due, the end.

use serde_json::{Map, Value};

use super::defaults::{MANAGED_ALIAS, managed_key_policy};
use super::{META_AUDIT, Service};
use crate::kms::api::types::{KeyManager, KeySpec, KeyState, KeyUsage, Origin};
use crate::kms::audit::Record;
use crate::kms::error::{InternalFault, KmsError};
use crate::kms::id::{KeyId, KeyVersion, key_arn};
use crate::kms::store::{AliasRecord, Change, KeyMore, KeyRecord, Store as _};

impl Service {
    /// The key behind `alias/aws/kmsfs`, made now if it is not there yet. It serves everybody of
    /// the account through the filesystem, and nobody may change it.
    pub fn managed_key(&self) -> Result<KeyId, KmsError> {
        let _writer = self.writer.lock();
        if let Some(alias) = self.store.alias(&self.account, MANAGED_ALIAS)? {
            return Ok(alias.key);
        }
        let text = managed_key_policy(&self.account, &self.region);
        let policy = self.compile(&text)?;
        let now = self.now().0;
        let record = KeyRecord {
            id: KeyId::random(),
            account: self.account.clone(),
            description: "Default key of the filesystem when no other key is named".into(),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::AwsKms,
            manager: KeyManager::Aws,
            state: KeyState::Enabled,
            created: now,
            deletion: None,
            policy: text,
            tags: Vec::new(),
            current: KeyVersion::FIRST,
            more: KeyMore::default(),
        };
        let id = record.id;
        let (_, mut changes) = self.new_key(record, policy)?;
        changes.push(Change::PutAlias(AliasRecord {
            account: self.account.clone(),
            name: MANAGED_ALIAS.to_owned(),
            key: id,
            created: now,
            updated: now,
        }));
        self.event("CreateKey", id, Map::new())?;
        self.commit(changes)?;
        Ok(id)
    }

    /// Checks some of what the store holds. To be called as often as [`Service::run_due`].
    pub fn scrub(&self) -> Result<(), KmsError> {
        Ok(self.store.scrub()?)
    }

    /// Does what is due without anybody asking: deletes, for good, the keys whose waiting time
    /// is over, removes imported material at its end, and rotates keys. To be called every minute
    /// or so; deleted keys and expired material are out of reach at once even if it is not.
    /// Returns how many keys went.
    ///
    /// # Crash
    /// A stop between record and change leaves the key to the next call.
    pub fn run_due(&self) -> Result<usize, KmsError> {
        let mut gone = self.run_due_here()?;
        for sibling in &self.siblings {
            gone = gone.saturating_add(sibling.run_due_here()?);
        }
        self.keep_wraps()?;
        Ok(gone)
    }

    fn run_due_here(&self) -> Result<usize, KmsError> {
        let _writer = self.writer.lock();
        let now = self.now();
        let (mut changes, mut elsewhere, mut gone) = (Vec::new(), Vec::new(), 0usize);
        for id in self.store.keys_due(now)? {
            let Some(key) = self.load_key(id)? else { continue };
            if key.record.deletion.is_some_and(|at| at <= now.0) {
                self.event("DeleteKey", id, Map::new())?;
                changes.push(Change::DeleteKey(id));
                elsewhere.extend(self.bereaved(&key)?);
                gone = gone.saturating_add(1);
            } else if key.record.more.expiry.is_some_and(|at| at <= now.0) {
                self.event("DeleteExpiredKeyMaterial", id, Map::new())?;
                changes.extend(self.expire(&key));
            } else {
                let rotated = self.rotate_due(&key)?;
                elsewhere.extend(self.shared(&key, &rotated)?);
                changes.extend(rotated);
            }
        }
        if !changes.is_empty() {
            self.commit_all(changes, elsewhere)?;
        }
        Ok(gone)
    }

    /// Writes down where the audit trail ends, so that a trail cut while the service is away is
    /// noticed. To be called last.
    pub fn close(&self) -> Result<(), KmsError> {
        let _writer = self.writer.lock();
        self.keep_wraps()?;
        let position = self.trail.position().to_bytes();
        self.store.commit(&[Change::PutMeta(META_AUDIT, position)])?;
        Ok(())
    }

    /// Records the start and what was found wrong with the audit trail: bytes of a torn last
    /// line, and, if lines were removed from its end, the last one that is there and the last
    /// one that was.
    pub fn report_start(&self, torn: u64, cut: Option<(u64, u64)>) -> Result<(), KmsError> {
        let mut extra = Map::new();
        if torn > 0 {
            extra.insert("tornBytesCutOff".into(), torn.into());
        }
        if let Some((end, written)) = cut {
            extra.insert("trailEndedAt".into(), end.into());
            extra.insert("trailWasWrittenUpTo".into(), written.into());
        }
        let record = Record::service_event(
            &self.account,
            &self.region,
            self.now(),
            "StartKeyService",
            Map::new(),
            extra,
        );
        self.trail.record(&[record]).map_err(|_| InternalFault::Audit.into())
    }

    pub(super) fn event(
        &self,
        name: &str,
        key: KeyId,
        extra: Map<String, Value>,
    ) -> Result<(), KmsError> {
        let mut details = Map::new();
        let arn = key_arn(&self.region, &self.account, key);
        details.insert("keyId".into(), arn.into());
        let record =
            Record::service_event(&self.account, &self.region, self.now(), name, details, extra);
        self.trail.record(&[record]).map_err(|_| InternalFault::Audit.into())
    }
}
