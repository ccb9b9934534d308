//! The actions that make data key pairs.

use super::Service;
use super::asymmetric::dry;
use super::call::Call;
use super::crypto::Seals;
use super::front::Done;
use super::lookup::{Named, Naming};
use super::rotation::origin;
use crate::kms::api::types::{Blob, DataKeyPairSpec, KeySpec, Plaintext};
use crate::kms::api::{
    GenerateDataKeyPairReply, GenerateDataKeyPairRequest, GenerateDataKeyPairWithoutPlaintextReply,
    Reply,
};
use crate::kms::authz::may;
use crate::kms::error::KmsError;
use crate::kms::hex;
use crate::kms::key::{Gate, Key};
use crate::kms::material;
use crate::kms::ml_kem;
use crate::kms::store::VersionRecord;
use crate::secret::Secret;
use crate::sync::Arc;

struct MadePair {
    key: Arc<Key>,
    sealed: Vec<u8>,
    private: Secret<Vec<u8>>,
    public: Vec<u8>,
    version: VersionRecord,
}

impl Service {
    pub(super) fn generate_data_key_pair(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyPairRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let made = self.make_pair::<may::GenerateDataKeyPair>(call, r)?;
        Done::read(Reply::GenerateDataKeyPair(GenerateDataKeyPairReply {
            private_key_ciphertext_blob: Blob(made.sealed),
            private_key_plaintext: Plaintext(made.private),
            public_key: Blob(made.public),
            key_id: made.key.arn.clone(),
            key_pair_spec: r.key_pair_spec,
            key_material_id: Some(hex::encode(&made.version.material_id)),
        }))
    }

    pub(super) fn generate_sealed_key_pair(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyPairRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let made = self.make_pair::<may::GenerateDataKeyPairWithoutPlaintext>(call, r)?;
        let reply = GenerateDataKeyPairWithoutPlaintextReply {
            private_key_ciphertext_blob: Blob(made.sealed),
            public_key: Blob(made.public),
            key_id: made.key.arn.clone(),
            key_pair_spec: r.key_pair_spec,
            key_material_id: Some(hex::encode(&made.version.material_id)),
        };
        Done::read(Reply::GenerateDataKeyPairWithoutPlaintext(reply))
    }

    fn make_pair<A: Seals>(
        &self,
        call: &mut Call<'_>,
        r: &GenerateDataKeyPairRequest,
    ) -> Result<MadePair, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        call.parameter("keyPairSpec", r.key_pair_spec.as_str());
        call.encryption("encryptionContext", &r.encryption_context);
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let context = Some(&r.encryption_context);
        let ok = call.may_on_key::<A>(&key, alias.as_deref(), context, |context| {
            context.one("kms:DataKeyPairSpec", r.key_pair_spec.as_str());
        })?;
        key.admits(Gate::Use)?;
        key.encrypts("GenerateDataKeyPair", None)?;
        if key.record.more.key_store.is_some() {
            return Err(origin(&key));
        }
        dry(r.dry_run)?;
        let spec = spec_of(r.key_pair_spec);
        let private = material::generate(spec)?;
        let public = material::public_key(spec, private.expose())?;
        let private =
            if ml_kem::is(spec) { ml_kem::pkcs8(spec, private.expose())? } else { private };
        let (sealed, version) = self.seal(ok, &r.encryption_context, private.expose(), false)?;
        self.used(call, &key);
        Ok(MadePair { key, sealed, private, public, version })
    }
}

fn spec_of(spec: DataKeyPairSpec) -> KeySpec {
    match spec {
        DataKeyPairSpec::Rsa2048 => KeySpec::Rsa2048,
        DataKeyPairSpec::Rsa3072 => KeySpec::Rsa3072,
        DataKeyPairSpec::Rsa4096 => KeySpec::Rsa4096,
        DataKeyPairSpec::EccNistP256 => KeySpec::EccNistP256,
        DataKeyPairSpec::EccNistP384 => KeySpec::EccNistP384,
        DataKeyPairSpec::EccNistP521 => KeySpec::EccNistP521,
        DataKeyPairSpec::EccSecgP256k1 => KeySpec::EccSecgP256k1,
        DataKeyPairSpec::EccNistEdwards25519 => KeySpec::EccNistEdwards25519,
        DataKeyPairSpec::MlKem512 => KeySpec::MlKem512,
        DataKeyPairSpec::MlKem768 => KeySpec::MlKem768,
        DataKeyPairSpec::MlKem1024 => KeySpec::MlKem1024,
    }
}
