//! Which action is whose, and which requests bring grant tokens: one line for each action.

use super::Service;
use super::call::Call;
use super::front::Done;
use crate::kms::api::{Reply, Request};
use crate::kms::error::KmsError;

impl Service {
    /// Hands a request to its action.
    pub(super) fn dispatch(
        &self,
        call: &mut Call<'_>,
        request: Request,
    ) -> Result<Done<Reply>, KmsError> {
        match request {
            Request::CancelKeyDeletion(r) => self.cancel_key_deletion(call, &r),
            Request::CreateAlias(r) => self.create_alias(call, &r),
            Request::CreateKey(r) => self.create_key(call, &r),
            Request::Decrypt(r) => self.decrypt(call, &r),
            Request::DeleteAlias(r) => self.delete_alias(call, &r),
            Request::DescribeKey(r) => self.describe_key(call, &r),
            Request::DisableKey(r) => self.disable_key(call, &r),
            Request::EnableKey(r) => self.enable_key(call, &r),
            Request::Encrypt(r) => self.encrypt(call, &r),
            Request::GenerateDataKey(r) => self.generate_data_key(call, &r),
            Request::GenerateDataKeyWithoutPlaintext(r) => self.generate_sealed_key(call, &r),
            Request::GenerateRandom(r) => self.generate_random(call, &r),
            Request::GetKeyPolicy(r) => self.get_key_policy(call, &r),
            Request::ListAliases(r) => self.list_aliases(call, &r),
            Request::ListKeyPolicies(r) => self.list_key_policies(call, &r),
            Request::ListKeys(r) => self.list_keys(call, &r),
            Request::PutKeyPolicy(r) => self.put_key_policy(call, &r),
            Request::ReEncrypt(r) => self.re_encrypt(call, &r),
            Request::ScheduleKeyDeletion(r) => self.schedule_key_deletion(call, &r),
            Request::UpdateAlias(r) => self.update_alias(call, &r),
            Request::UpdateKeyDescription(r) => self.update_key_description(call, &r),
            Request::ConnectCustomKeyStore(r) => self.connect_custom_key_store(call, &r),
            Request::CreateCustomKeyStore(r) => self.create_custom_key_store(call, &r),
            Request::CreateGrant(r) => self.create_grant(call, &r),
            Request::DeleteCustomKeyStore(r) => self.delete_custom_key_store(call, &r),
            Request::DeleteImportedKeyMaterial(r) => self.delete_imported_key_material(call, &r),
            Request::DeriveSharedSecret(r) => self.derive_shared_secret(call, &r),
            Request::Decapsulate(r) => self.decapsulate(call, &r),
            Request::Encapsulate(r) => self.encapsulate(call, &r),
            Request::DescribeCustomKeyStores(r) => self.describe_custom_key_stores(call, &r),
            Request::DisableKeyRotation(r) => self.disable_key_rotation(call, &r),
            Request::DisconnectCustomKeyStore(r) => self.disconnect_custom_key_store(call, &r),
            Request::EnableKeyRotation(r) => self.enable_key_rotation(call, &r),
            Request::GenerateDataKeyPair(r) => self.generate_data_key_pair(call, &r),
            Request::GenerateDataKeyPairWithoutPlaintext(r) => {
                self.generate_sealed_key_pair(call, &r)
            }
            Request::GenerateMac(r) => self.generate_mac(call, &r),
            Request::GetKeyLastUsage(r) => self.get_key_last_usage(call, &r),
            Request::GetKeyRotationStatus(r) => self.get_key_rotation_status(call, &r),
            Request::GetParametersForImport(r) => self.get_parameters_for_import(call, &r),
            Request::GetPublicKey(r) => self.get_public_key(call, &r),
            Request::ImportKeyMaterial(r) => self.import_key_material(call, &r),
            Request::ListGrants(r) => self.list_grants(call, &r),
            Request::ListKeyRotations(r) => self.list_key_rotations(call, &r),
            Request::ListResourceTags(r) => self.list_resource_tags(call, &r),
            Request::ListRetirableGrants(r) => self.list_retirable_grants(call, &r),
            Request::ReplicateKey(r) => self.replicate_key(call, &r),
            Request::RetireGrant(r) => self.retire_grant(call, &r),
            Request::RevokeGrant(r) => self.revoke_grant(call, &r),
            Request::RotateKeyOnDemand(r) => self.rotate_key_on_demand(call, &r),
            Request::Sign(r) => self.sign(call, &r),
            Request::TagResource(r) => self.tag_resource(call, &r),
            Request::UntagResource(r) => self.untag_resource(call, &r),
            Request::UpdateCustomKeyStore(r) => self.update_custom_key_store(call, &r),
            Request::UpdatePrimaryRegion(r) => self.update_primary_region(call, &r),
            Request::Verify(r) => self.verify(call, &r),
            Request::VerifyMac(r) => self.verify_mac(call, &r),
        }
    }
}

/// The grant tokens of a request.
pub(super) fn grant_tokens(request: &Request) -> &[String] {
    match request {
        Request::CreateGrant(r) => &r.grant_tokens,
        Request::Decrypt(r) => &r.grant_tokens,
        Request::Decapsulate(r) => &r.grant_tokens,
        Request::DeriveSharedSecret(r) => &r.grant_tokens,
        Request::Encapsulate(r) => &r.grant_tokens,
        Request::DescribeKey(r) => &r.grant_tokens,
        Request::Encrypt(r) => &r.grant_tokens,
        Request::GenerateDataKey(r) | Request::GenerateDataKeyWithoutPlaintext(r) => {
            &r.grant_tokens
        }
        Request::GenerateDataKeyPair(r) | Request::GenerateDataKeyPairWithoutPlaintext(r) => {
            &r.grant_tokens
        }
        Request::GenerateMac(r) => &r.grant_tokens,
        Request::GetPublicKey(r) => &r.grant_tokens,
        Request::ReEncrypt(r) => &r.grant_tokens,
        Request::Sign(r) => &r.grant_tokens,
        Request::Verify(r) => &r.grant_tokens,
        Request::VerifyMac(r) => &r.grant_tokens,
        _ => &[],
    }
}
