//! The actions on custom key stores. There is no HSM cluster behind the service yet: a cluster
//! that cannot be reached is all that there is to find, and so no key store can exist.

use super::call::Call;
use super::{Done, Service};
use crate::kms::api::types::CustomKeyStoreType;
use crate::kms::api::{
    CreateCustomKeyStoreRequest, CustomKeyStoreRequest, DescribeCustomKeyStoresReply,
    DescribeCustomKeyStoresRequest, Reply, UpdateCustomKeyStoreRequest,
};
use crate::kms::authz::{Authorized, Permission, Plain, may};
use crate::kms::error::{KmsError, UnsupportedFault, Violation};

impl Service {
    pub(super) fn create_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CreateCustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("customKeyStoreName", r.custom_key_store_name.as_str());
        let _ok: Authorized<may::CreateCustomKeyStore, Plain> = call.may("*", |_| {})?;
        if r.custom_key_store_type == Some(CustomKeyStoreType::External) {
            return Err(KmsError::Unsupported { what: UnsupportedFault::CustomKeyStore });
        }
        let missing = |member: &str| Violation::Missing { member: member.to_owned() };
        let id = r.cloud_hsm_cluster_id.clone().ok_or_else(|| missing("cloudHsmClusterId"))?;
        if r.trust_anchor_certificate.is_none() {
            return Err(missing("trustAnchorCertificate").into());
        }
        if r.key_store_password.is_none() {
            return Err(missing("keyStorePassword").into());
        }
        Err(KmsError::NoSuchCluster { id })
    }

    pub(super) fn describe_custom_key_stores(
        &self,
        call: &mut Call<'_>,
        r: &DescribeCustomKeyStoresRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let _ok: Authorized<may::DescribeCustomKeyStores, Plain> = call.may("*", |_| {})?;
        if r.marker.is_some() {
            return Err(KmsError::InvalidMarker);
        }
        let asked = [&r.custom_key_store_id, &r.custom_key_store_name].into_iter().flatten().next();
        if let Some(id) = asked {
            return Err(KmsError::NoSuchKeyStore { id: id.clone() });
        }
        Done::read(Reply::DescribeCustomKeyStores(DescribeCustomKeyStoresReply {
            custom_key_stores: Vec::new(),
            next_marker: None,
            truncated: false,
        }))
    }

    pub(super) fn connect_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        no_key_store::<may::ConnectCustomKeyStore>(call, &r.custom_key_store_id)
    }

    pub(super) fn disconnect_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        no_key_store::<may::DisconnectCustomKeyStore>(call, &r.custom_key_store_id)
    }

    pub(super) fn update_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &UpdateCustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        no_key_store::<may::UpdateCustomKeyStore>(call, &r.custom_key_store_id)
    }

    pub(super) fn delete_custom_key_store(
        &self,
        call: &mut Call<'_>,
        r: &CustomKeyStoreRequest,
    ) -> Result<Done<Reply>, KmsError> {
        no_key_store::<may::DeleteCustomKeyStore>(call, &r.custom_key_store_id)
    }
}

fn no_key_store<A: Permission>(call: &mut Call<'_>, id: &str) -> Result<Done<Reply>, KmsError> {
    call.parameter("customKeyStoreId", id);
    let _ok: Authorized<A, Plain> = call.may("*", |_| {})?;
    Err(KmsError::NoSuchKeyStore { id: id.to_owned() })
}
