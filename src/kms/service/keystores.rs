//! The actions on custom key stores, and what the keys in one depend on.
//!
//! Connecting is done when it answers; `DescribeCustomKeyStores` tells how it went, as with AWS.

use super::Service;
use super::behind::{asked_for, change_behind, is_free};
use super::call::Call;
use super::front::Done;
use super::pages::cut;
use crate::clock::Millis;
use crate::kms::api::types::{CustomKeyStoreType, KeySpec, Origin, Timestamp};
use crate::kms::api::{
    CreateCustomKeyStoreReply, CreateCustomKeyStoreRequest, CreateKeyRequest, CustomKeyStoreEntry,
    CustomKeyStoreRequest, DescribeCustomKeyStoresReply, DescribeCustomKeyStoresRequest, Nothing,
    Reply, UpdateCustomKeyStoreRequest, XksProxyConfiguration,
};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{KmsError, Quota, UnsupportedFault, Violation};
use crate::kms::hex;
use crate::kms::id::AccountId;
use crate::kms::keystore::{Behind, Connection, KeyStoreRecord};
use crate::kms::store::{Change, InKeyStore, KeyRecord, Store as _};

/// Key stores of an account in a Region; AWS's quota.
const MAX_KEY_STORES: u32 = 10;
/// Keys that are read at once while those of a key store are looked for.
const SLICE: usize = 1000;

impl Service {
    pub(super) fn create_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CreateCustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("customKeyStoreName", r.custom_key_store_name.as_str());
        let _ok: Authorized<may::CreateCustomKeyStore, Plain> = call.may("*", |_| {})?;
        let (behind, secret) = asked_for(r)?;
        let there = self.store.key_stores(call.account())?;
        if there.len() >= usize::try_from(MAX_KEY_STORES).unwrap_or(usize::MAX) {
            return Err(KmsError::LimitExceeded { what: Quota::KeyStores, max: MAX_KEY_STORES });
        }
        self.name_is_free(&there, &r.custom_key_store_name)?;
        is_free(&there, &behind)?;
        self.backings.check(&behind)?;
        let mut record = KeyStoreRecord {
            account: call.account().clone(),
            id: fresh_id()?,
            name: r.custom_key_store_name.clone(),
            created: self.now().0,
            behind,
            sealed: Vec::new(),
            connection: Connection::Disconnected,
        };
        record.sealed = self.custody.seal_secret(&record.secret_name(), secret)?;
        let custom_key_store_id = record.id.clone();
        call.parameter("customKeyStoreId", custom_key_store_id.as_str());
        let reply = CreateCustomKeyStoreReply { custom_key_store_id };
        Done::change(Reply::CreateCustomKeyStore(reply), vec![Change::PutKeyStore(record)])
    }

    pub(super) fn describe_custom_key_stores(
        &self,
        call: &mut Call<'_>,
        r: &DescribeCustomKeyStoresRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let _ok: Authorized<may::DescribeCustomKeyStores, Plain> = call.may("*", |_| {})?;
        let list = format!("key stores/{}", call.account());
        let after = self.after_marker(&list, r.marker.as_deref())?;
        let mut stores = self.store.key_stores(call.account())?;
        if let Some(id) = &r.custom_key_store_id {
            stores.retain(|store| store.id == *id);
        }
        if let Some(name) = &r.custom_key_store_name {
            stores.retain(|store| store.name == *name);
        }
        let asked = [&r.custom_key_store_id, &r.custom_key_store_name].into_iter().flatten().next();
        if let (Some(id), true) = (asked, stores.is_empty()) {
            return Err(KmsError::NoSuchKeyStore { id: id.clone() });
        }
        stores.retain(|store| after.as_ref().is_none_or(|after| store.id > *after));
        let truncated = cut(&mut stores, r.page()?);
        let next_marker =
            stores.last().filter(|_| truncated).map(|last| self.marker(&list, &last.id));
        Done::read(Reply::DescribeCustomKeyStores(DescribeCustomKeyStoresReply {
            custom_key_stores: stores.into_iter().map(entry).collect(),
            next_marker,
            truncated,
        }))
    }

    pub(super) fn connect_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let mut store =
            self.managed_store::<may::ConnectCustomKeyStore>(call, &r.custom_key_store_id)?;
        let changes = match store.connection {
            Connection::Failed(_) => return Err(in_state(&store)),
            Connection::Connected => Vec::new(),
            Connection::Disconnected => {
                let secret = self.custody.open_secret(&store.secret_name(), &store.sealed)?;
                store.connection = match self.backings.connect(&store, secret.expose()) {
                    Ok(()) => Connection::Connected,
                    Err(error) => Connection::Failed(error),
                };
                vec![Change::PutKeyStore(store)]
            }
        };
        Done::change(Reply::ConnectCustomKeyStore(Nothing), changes)
    }

    pub(super) fn disconnect_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let mut store =
            self.managed_store::<may::DisconnectCustomKeyStore>(call, &r.custom_key_store_id)?;
        if store.connection == Connection::Disconnected {
            return Err(in_state(&store));
        }
        store.connection = Connection::Disconnected;
        let changes = vec![Change::PutKeyStore(store)];
        Done::change(Reply::DisconnectCustomKeyStore(Nothing), changes)
    }

    pub(super) fn update_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &UpdateCustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let mut store =
            self.managed_store::<may::UpdateCustomKeyStore>(call, &r.custom_key_store_id)?;
        let renamed_alone = !r.names_cluster() && !r.names_proxy();
        let admitted = match store.connection {
            Connection::Disconnected => true,
            Connection::Connected => renamed_alone,
            Connection::Failed(_) => false,
        };
        if !admitted {
            return Err(in_state(&store));
        }
        let mut others = self.store.key_stores(call.account())?;
        others.retain(|other| other.id != store.id);
        if let Some(name) = &r.new_custom_key_store_name {
            self.name_is_free(&others, name)?;
            store.name.clone_from(name);
        }
        if !renamed_alone {
            change_behind(&mut store.behind, r)?;
            is_free(&others, &store.behind)?;
            self.backings.check(&store.behind)?;
            let credential = r.xks_proxy_authentication_credential.as_ref();
            let secret = r.key_store_password.as_ref();
            if let Some(secret) = secret.or(credential.map(|c| &c.raw_secret_access_key)) {
                store.sealed = self.custody.seal_secret(&store.secret_name(), secret.expose())?;
            }
        }
        Done::change(Reply::UpdateCustomKeyStore(Nothing), vec![Change::PutKeyStore(store)])
    }

    pub(super) fn delete_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let store =
            self.managed_store::<may::DeleteCustomKeyStore>(call, &r.custom_key_store_id)?;
        if store.connection != Connection::Disconnected {
            return Err(in_state(&store));
        }
        // Keys that wait for their deletion count: it can be cancelled.
        if self.any_key_in(&store, |_| true)? {
            return Err(KmsError::KeyStoreHasKeys { id: store.id });
        }
        let change = Change::DeleteKeyStore(store.account, store.id);
        Done::change(Reply::DeleteCustomKeyStore(Nothing), vec![change])
    }

    /// Where a key that is to be made in a key store goes; `None` for all other keys.
    pub(super) fn place_in_store(
        &self,
        account: &AccountId,
        r: &CreateKeyRequest,
    ) -> Result<Option<InKeyStore>, KmsError> {
        let origin = r.origin.unwrap_or(Origin::AwsKms);
        let external = origin == Origin::ExternalKeyStore;
        let within = external || origin == Origin::AwsCloudHsm;
        if r.xks_key_id.is_some() != external || r.custom_key_store_id.is_some() != within {
            return Err(Violation::OriginMembers { origin: origin.to_string() }.into());
        }
        let Some(id) = &r.custom_key_store_id else { return Ok(None) };
        let store = self.key_store(account, id)?;
        if matches!(store.behind, Behind::Proxy(_)) != external {
            return Err(Violation::OriginMembers { origin: origin.to_string() }.into());
        }
        if r.spec()? != KeySpec::SymmetricDefault || r.multi_region {
            return Err(KmsError::Unsupported { what: UnsupportedFault::InKeyStore });
        }
        if store.connection != Connection::Connected {
            return Err(in_state(&store));
        }
        if let Some(name) = &r.xks_key_id {
            let same = |place: &InKeyStore| place.external.as_ref() == Some(name);
            if self.any_key_in(&store, same)? {
                return Err(KmsError::ExternalKeyInUse { id: name.clone() });
            }
        }
        let cluster = match store.behind {
            Behind::Cluster { id, .. } => Some(id),
            Behind::Proxy(_) => None,
        };
        Ok(Some(InKeyStore { store: store.id, cluster, external: r.xks_key_id.clone() }))
    }

    /// Whether what holds the key's material can be reached.
    pub(super) fn material_reachable(&self, record: &KeyRecord) -> Result<bool, KmsError> {
        let Some(place) = &record.more.key_store else { return Ok(true) };
        let stores = self.store.key_stores(&record.account)?;
        let connected = |store: &KeyStoreRecord| store.connection == Connection::Connected;
        Ok(stores.iter().any(|store| store.id == place.store && connected(store)))
    }

    /// Whether random bytes can be had from the HSMs of that key store.
    pub(super) fn random_from(&self, account: &AccountId, id: &str) -> Result<(), KmsError> {
        let store = self.key_store(account, id)?;
        if matches!(store.behind, Behind::Proxy(_)) {
            return Err(KmsError::Unsupported { what: UnsupportedFault::InKeyStore });
        }
        if store.connection == Connection::Connected { Ok(()) } else { Err(in_state(&store)) }
    }

    fn key_store(&self, account: &AccountId, id: &str) -> Result<KeyStoreRecord, KmsError> {
        let found = self.store.key_stores(account)?.into_iter().find(|store| store.id == id);
        found.ok_or_else(|| KmsError::NoSuchKeyStore { id: id.to_owned() })
    }

    /// The common start of the actions that manage one key store.
    fn managed_store<A: Permission>(
        &self,
        call: &mut Call<'_>,
        id: &str,
    ) -> Result<KeyStoreRecord, KmsError> {
        call.parameter("customKeyStoreId", id);
        let _ok: Authorized<A, Plain> = call.may("*", |_| {})?;
        self.key_store(call.account(), id)
    }

    /// Goes through the account's keys: this is asked rarely.
    fn any_key_in(
        &self,
        store: &KeyStoreRecord,
        matches: impl Fn(&InKeyStore) -> bool,
    ) -> Result<bool, KmsError> {
        let mut after = None;
        loop {
            let ids = self.store.keys(&store.account, after, SLICE)?;
            for id in &ids {
                let place = self.store.key(*id)?.and_then(|record| record.more.key_store);
                if place.is_some_and(|place| place.store == store.id && matches(&place)) {
                    return Ok(true);
                }
            }
            after = ids.last().copied();
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    fn name_is_free(&self, others: &[KeyStoreRecord], name: &str) -> Result<(), KmsError> {
        if others.iter().any(|other| other.name == name) {
            return Err(KmsError::KeyStoreNameInUse { name: name.to_owned() });
        }
        Ok(())
    }
}

fn in_state(store: &KeyStoreRecord) -> KmsError {
    let state = store.connection.as_str().to_owned();
    KmsError::KeyStoreState { id: store.id.clone(), state }
}

fn fresh_id() -> Result<String, KmsError> {
    let bytes = super::crypto::random(9)?;
    let digits = hex::encode(bytes.expose());
    Ok(format!("cks-{}", digits.get(..17).unwrap_or(&digits)))
}

fn entry(store: KeyStoreRecord) -> CustomKeyStoreEntry {
    let connection_error_code = match store.connection {
        Connection::Failed(error) => Some(error),
        _ => None,
    };
    let (cluster, trust_anchor, proxy) = match store.behind {
        Behind::Cluster { id, trust_anchor } => (Some(id), Some(trust_anchor), None),
        Behind::Proxy(proxy) => (None, None, Some(proxy)),
    };
    CustomKeyStoreEntry {
        custom_key_store_id: store.id,
        custom_key_store_name: store.name,
        custom_key_store_type: match proxy {
            Some(_) => CustomKeyStoreType::External,
            None => CustomKeyStoreType::CloudHsm,
        },
        cloud_hsm_cluster_id: cluster,
        trust_anchor_certificate: trust_anchor,
        connection_state: store.connection.as_str().to_owned(),
        connection_error_code,
        creation_date: Timestamp(Millis(store.created)),
        xks_proxy_configuration: proxy.map(|proxy| XksProxyConfiguration {
            connectivity: proxy.connectivity,
            access_key_id: proxy.access_key_id,
            uri_endpoint: proxy.endpoint,
            uri_path: proxy.path,
            vpc_endpoint_service_name: proxy.vpc_service,
            vpc_endpoint_service_owner: proxy.vpc_owner,
        }),
    }
}
