//! The actions on aliases. Each needs its permission twice: on the alias, which identity
//! policies decide, and on the key.

use super::Service;
use super::call::Call;
use super::front::Done;
use super::keys::unmanaged;
use super::lookup::{Named, Naming};
use super::pages::cut;
use crate::clock::Millis;
use crate::kms::api::types::Timestamp;
use crate::kms::api::{
    AliasListEntry, CreateAliasRequest, DeleteAliasRequest, ListAliasesReply, ListAliasesRequest,
    Nothing, Reply,
};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{KmsError, Quota, Violation};
use crate::kms::id::alias_arn;
use crate::kms::key::{Gate, Key};
use crate::kms::store::{AliasRecord, Change, Store as _};
use crate::sync::Arc;

impl Service {
    pub(super) fn create_alias(
        &self,
        call: &mut Call<'_>,
        r: &CreateAliasRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let arn = self.alias_of(call, &r.alias_name);
        call.parameter("targetKeyId", r.target_key_id.as_str());
        let Named { key, .. } =
            self.named(&call.caller.principal, &r.target_key_id, Naming::KeyOnly)?;
        let alias_ok = call.may::<may::CreateAlias>(&arn, |_| {})?;
        let key_ok = self.on_target::<may::CreateAlias>(call, &key)?;
        unmanaged(&key)?;
        key.admits(Gate::Annotate)?;
        if self.store.alias(call.account(), &r.alias_name)?.is_some() {
            return Err(KmsError::AliasExists { arn });
        }
        let changes = self.point(alias_ok, key_ok, &r.alias_name, None)?;
        Done::change(Reply::CreateAlias(Nothing), changes)
    }

    pub(super) fn update_alias(
        &self,
        call: &mut Call<'_>,
        r: &CreateAliasRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let arn = self.alias_of(call, &r.alias_name);
        call.parameter("targetKeyId", r.target_key_id.as_str());
        let Named { key, .. } =
            self.named(&call.caller.principal, &r.target_key_id, Naming::KeyOnly)?;
        let alias_ok = call.may::<may::UpdateAlias>(&arn, |_| {})?;
        let old = self
            .store
            .alias(call.account(), &r.alias_name)?
            .ok_or(KmsError::NoSuchAlias { arn })?;
        if let Some(old_key) = self.key(old.key)? {
            let _old_ok = self.on_target::<may::UpdateAlias>(call, &old_key)?;
            let kind = |key: &Key| (key.record.usage, key.record.spec.family());
            if kind(&old_key) != kind(&key) {
                return Err(Violation::AliasTarget.into());
            }
        }
        let key_ok = self.on_target::<may::UpdateAlias>(call, &key)?;
        unmanaged(&key)?;
        key.admits(Gate::Annotate)?;
        let changes = self.point(alias_ok, key_ok, &r.alias_name, Some(old.created))?;
        Done::change(Reply::UpdateAlias(Nothing), changes)
    }

    pub(super) fn delete_alias(
        &self,
        call: &mut Call<'_>,
        r: &DeleteAliasRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let arn = self.alias_of(call, &r.alias_name);
        let _alias_ok = call.may::<may::DeleteAlias>(&arn, |_| {})?;
        let alias = self
            .store
            .alias(call.account(), &r.alias_name)?
            .ok_or(KmsError::NoSuchAlias { arn })?;
        if let Some(key) = self.key(alias.key)? {
            let _key_ok = self.on_target::<may::DeleteAlias>(call, &key)?;
        }
        let change = Change::DeleteAlias(call.account().clone(), alias.name);
        Done::change(Reply::DeleteAlias(Nothing), vec![change])
    }

    pub(super) fn list_aliases(
        &self,
        call: &mut Call<'_>,
        r: &ListAliasesRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let _ok: Authorized<may::ListAliases, Plain> = call.may("*", |_| {})?;
        let only = match &r.key_id {
            Some(id) => {
                call.parameter("keyId", id.as_str());
                Some(self.named(&call.caller.principal, id, Naming::KeyOnly)?.key.id())
            }
            None => None,
        };
        let account = call.account();
        let list = format!("aliases/{account}");
        let after = self.after_marker(&list, r.marker.as_deref())?;
        let page = r.page()?;
        let mut records =
            self.store.aliases(account, only, after.as_deref(), page.saturating_add(1))?;
        let truncated = cut(&mut records, page);
        let next_marker =
            records.last().filter(|_| truncated).map(|last| self.marker(&list, &last.name));
        let aliases = records.into_iter().map(|alias| AliasListEntry {
            alias_arn: alias_arn(&self.region, &alias.account, &alias.name),
            alias_name: alias.name,
            target_key_id: alias.key.to_string(),
            creation_date: Timestamp(Millis(alias.created)),
            last_updated_date: Timestamp(Millis(alias.updated)),
        });
        let aliases = aliases.collect();
        Done::read(Reply::ListAliases(ListAliasesReply { aliases, next_marker, truncated }))
    }

    fn alias_of(&self, call: &mut Call<'_>, name: &str) -> String {
        let arn = alias_arn(&self.region, call.account(), name);
        call.parameter("aliasName", name);
        call.resource(&arn);
        arn
    }

    fn on_target<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key: &Arc<Key>,
    ) -> Result<Authorized<A>, KmsError> {
        call.resource(&key.arn);
        call.may_on_key(key, None, None, |_| {})
    }

    fn point<A: Permission>(
        &self,
        alias: Authorized<A, Plain>,
        key: Authorized<A>,
        name: &str,
        created: Option<i64>,
    ) -> Result<Vec<Change>, KmsError> {
        let (owner, key) = (alias.into_target().owner, key.into_target());
        if key.record.account != owner {
            return Err(Violation::AliasTarget.into());
        }
        // No more of them are loaded than AWS's quota and one.
        let max = self.limits.aliases.min(50);
        let full = u32::try_from(key.aliases.len()).map_or(true, |have| have >= max);
        if full && !key.aliases.iter().any(|known| known == name) {
            return Err(KmsError::LimitExceeded { what: Quota::Aliases, max });
        }
        let now = self.now().0;
        Ok(vec![Change::PutAlias(AliasRecord {
            account: owner,
            name: name.to_owned(),
            key: key.id(),
            created: created.unwrap_or(now),
            updated: now,
        })])
    }
}
