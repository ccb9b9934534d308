//! The actions on multi-Region keys. One Region is served, so every multi-Region key is a
//! primary without replicas.

use super::call::Call;
use super::keys::{checked_tags, unmanaged};
use super::lookup::{Named, Naming};
use super::{Done, Service};
use crate::kms::api::{ReplicateKeyRequest, Reply, UpdatePrimaryRegionRequest};
use crate::kms::authz::{Authorized, Permission, may};
use crate::kms::error::{KmsError, UnsupportedFault};
use crate::kms::key::Gate;

impl Service {
    pub(super) fn replicate_key(
        &self,
        call: &mut Call<'_>,
        r: &ReplicateKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        checked_tags(&r.tags)?;
        self.elsewhere::<may::ReplicateKey>(call, &r.key_id, "kms:ReplicaRegion", &r.replica_region)
    }

    pub(super) fn update_primary_region(
        &self,
        call: &mut Call<'_>,
        r: &UpdatePrimaryRegionRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let (key, region) = (&r.key_id, &r.primary_region);
        self.elsewhere::<may::UpdatePrimaryRegion>(call, key, "kms:PrimaryRegion", region)
    }

    fn elsewhere<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        condition: &'static str,
        region: &str,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", key_id);
        call.parameter("region", region);
        let Named { key, .. } = self.named(&call.caller.principal, key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok: Authorized<A> = call.may_on_key(&key, None, None, |context| {
            context.one(condition, region);
        })?;
        let key = ok.into_target();
        unmanaged(&key)?;
        if !key.id().multi_region() {
            let what = UnsupportedFault::NotMultiRegion(key.arn.clone());
            return Err(KmsError::Unsupported { what });
        }
        key.admits(Gate::Use)?;
        Err(KmsError::Unsupported { what: UnsupportedFault::Region(region.to_owned()) })
    }
}
