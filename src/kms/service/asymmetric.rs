//! The actions on asymmetric keys and HMAC keys.

use super::Service;
use super::call::Call;
use super::front::Done;
use super::lookup::{Named, Naming};
use crate::crypto;
use crate::kms::api::types::{
    Blob, EncapsulationAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage, MacAlgorithm,
    MessageType, Plaintext, SigningAlgorithm,
};
use crate::kms::api::{
    DecapsulateReply, DecapsulateRequest, DeriveSharedSecretReply, DeriveSharedSecretRequest,
    EncapsulateReply, EncapsulateRequest, GenerateMacReply, GenerateMacRequest, GetPublicKeyReply,
    GetPublicKeyRequest, Reply, SignReply, SignRequest, VerifyMacReply, VerifyMacRequest,
    VerifyReply, VerifyRequest,
};
use crate::kms::authz::{Authorized, Permission, may};
use crate::kms::custody::{CustodyError, Task};
use crate::kms::error::{InternalFault, KmsError, UnsupportedFault, Violation};
use crate::kms::key::{self, Gate, Key};
use crate::kms::{ml_kem, public_key};
use crate::secret::Secret;
use crate::sync::Arc;

/// Bytes of the message representative of ML-DSA.
const MU: usize = 64;
/// Bytes of what Ed25519ph signs.
const SHA_512: usize = 64;

impl Service {
    pub(super) fn sign(
        &self,
        call: &mut Call<'_>,
        r: &SignRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let kind = r.message_type.unwrap_or(MessageType::Raw);
        let key = self.signing::<may::Sign>(call, &r.key_id, r.signing_algorithm, kind)?;
        key.admits(Gate::Use)?;
        key.is_for("Sign", KeyUsage::SignVerify)?;
        signs(&key, r.signing_algorithm, kind, &r.message.0)?;
        dry(r.dry_run)?;
        let task = Task::Sign { algorithm: r.signing_algorithm, kind, message: &r.message.0 };
        let signature = self.perform(&key, task)?;
        self.used(call, &key);
        Done::read(Reply::Sign(SignReply {
            key_id: key.arn.clone(),
            signature: Blob(signature.expose().to_vec()),
            signing_algorithm: r.signing_algorithm,
        }))
    }

    pub(super) fn verify(
        &self,
        call: &mut Call<'_>,
        r: &VerifyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let kind = r.message_type.unwrap_or(MessageType::Raw);
        let key = self.signing::<may::Verify>(call, &r.key_id, r.signing_algorithm, kind)?;
        key.admits(Gate::Use)?;
        key.is_for("Verify", KeyUsage::SignVerify)?;
        signs(&key, r.signing_algorithm, kind, &r.message.0)?;
        dry(r.dry_run)?;
        let version = key.current().ok_or(InternalFault::Record)?;
        public_key::verify(
            key.record.spec,
            &version.more.public,
            r.signing_algorithm,
            kind,
            &r.message.0,
            &r.signature.0,
        )
        .map_err(|_| KmsError::InvalidSignature)?;
        self.used(call, &key);
        Done::read(Reply::Verify(VerifyReply {
            key_id: key.arn.clone(),
            signature_valid: true,
            signing_algorithm: r.signing_algorithm,
        }))
    }

    pub(super) fn generate_mac(
        &self,
        call: &mut Call<'_>,
        r: &GenerateMacRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let key = self.macs::<may::GenerateMac>(call, &r.key_id, r.mac_algorithm)?;
        key.admits(Gate::Use)?;
        mac_fits(&key, "GenerateMac", r.mac_algorithm)?;
        dry(r.dry_run)?;
        let task = Task::Mac { algorithm: r.mac_algorithm, message: &r.message.0 };
        let mac = self.perform(&key, task)?;
        self.used(call, &key);
        Done::read(Reply::GenerateMac(GenerateMacReply {
            mac: Blob(mac.expose().to_vec()),
            mac_algorithm: r.mac_algorithm,
            key_id: key.arn.clone(),
        }))
    }

    pub(super) fn verify_mac(
        &self,
        call: &mut Call<'_>,
        r: &VerifyMacRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let key = self.macs::<may::VerifyMac>(call, &r.key_id, r.mac_algorithm)?;
        key.admits(Gate::Use)?;
        mac_fits(&key, "VerifyMac", r.mac_algorithm)?;
        dry(r.dry_run)?;
        let task = Task::Mac { algorithm: r.mac_algorithm, message: &r.message.0 };
        let mac = self.perform(&key, task)?;
        if !crypto::same(mac.expose(), &r.mac.0) {
            return Err(KmsError::InvalidMac);
        }
        self.used(call, &key);
        Done::read(Reply::VerifyMac(VerifyMacReply {
            key_id: key.arn.clone(),
            mac_valid: true,
            mac_algorithm: r.mac_algorithm,
        }))
    }

    pub(super) fn get_public_key(
        &self,
        call: &mut Call<'_>,
        r: &GetPublicKeyRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok: Authorized<may::GetPublicKey> =
            call.may_on_key(&key, alias.as_deref(), None, |_| {})?;
        let key = ok.into_target();
        key.admits(Gate::Use)?;
        let version = key.current().ok_or(InternalFault::Record)?;
        if version.more.public.is_empty() {
            return Err(KmsError::Unsupported { what: UnsupportedFault::KeyKind });
        }
        let (spec, usage) = (key.record.spec, key.record.usage);
        Done::read(Reply::GetPublicKey(GetPublicKeyReply {
            key_id: key.arn.clone(),
            public_key: Blob(version.more.public.clone()),
            customer_master_key_spec: spec,
            key_spec: spec,
            key_usage: usage,
            encryption_algorithms: (usage == KeyUsage::EncryptDecrypt)
                .then(|| key::encryption_algorithms(spec).to_vec()),
            signing_algorithms: (usage == KeyUsage::SignVerify)
                .then(|| key::signing_algorithms(spec).to_vec()),
            key_agreement_algorithms: (usage == KeyUsage::KeyAgreement)
                .then(|| vec![KeyAgreementAlgorithm::Ecdh]),
            encapsulation_algorithms: (usage == KeyUsage::EncapsulateDecapsulate)
                .then(|| vec![EncapsulationAlgorithm::MlKem]),
        }))
    }

    pub(super) fn derive_shared_secret(
        &self,
        call: &mut Call<'_>,
        r: &DeriveSharedSecretRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let algorithm = r.key_agreement_algorithm;
        call.parameter("keyId", r.key_id.as_str());
        call.parameter("keyAgreementAlgorithm", algorithm.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, &r.key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok: Authorized<may::DeriveSharedSecret> =
            call.may_on_key(&key, alias.as_deref(), None, |context| {
                context.one("kms:KeyAgreementAlgorithm", algorithm.as_str());
            })?;
        let key = ok.into_target();
        key.admits(Gate::Use)?;
        key.is_for("DeriveSharedSecret", KeyUsage::KeyAgreement)?;
        dry(r.dry_run)?;
        let spec = key.record.spec;
        let shared = self
            .attempt(&key, Task::Agree { peer: &r.public_key.0 })?
            .ok_or(Violation::PublicKey { spec })?;
        self.used(call, &key);
        Done::read(Reply::DeriveSharedSecret(DeriveSharedSecretReply {
            key_id: key.arn.clone(),
            shared_secret: Plaintext(shared),
            key_agreement_algorithm: algorithm,
            key_origin: key.record.origin,
        }))
    }

    pub(super) fn encapsulate(
        &self,
        call: &mut Call<'_>,
        r: &EncapsulateRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let algorithm = r.encapsulation_algorithm;
        let key = self.encapsulating::<may::Encapsulate>(call, &r.key_id, algorithm)?;
        key.is_for("Encapsulate", KeyUsage::EncapsulateDecapsulate)?;
        dry(r.dry_run)?;
        let version = key.current().ok_or(InternalFault::Record)?;
        let (sealed, secret) = ml_kem::encapsulate(key.record.spec, &version.more.public)?;
        self.used(call, &key);
        Done::read(Reply::Encapsulate(EncapsulateReply {
            key_id: key.arn.clone(),
            shared_secret: Plaintext(secret),
            shared_secret_ciphertext_blob: Blob(sealed),
            encapsulation_algorithm: algorithm,
        }))
    }

    pub(super) fn decapsulate(
        &self,
        call: &mut Call<'_>,
        r: &DecapsulateRequest,
    ) -> Result<Done<Reply>, KmsError> {
        let algorithm = r.encapsulation_algorithm;
        let key = self.encapsulating::<may::Decapsulate>(call, &r.key_id, algorithm)?;
        key.is_for("Decapsulate", KeyUsage::EncapsulateDecapsulate)?;
        dry(r.dry_run)?;
        let task = Task::Decapsulate { ciphertext: &r.shared_secret_ciphertext_blob.0 };
        let secret = self.attempt(&key, task)?.ok_or(KmsError::InvalidCiphertext)?;
        self.used(call, &key);
        Done::read(Reply::Decapsulate(DecapsulateReply {
            key_id: key.arn.clone(),
            shared_secret: Plaintext(secret),
            encapsulation_algorithm: algorithm,
        }))
    }

    fn encapsulating<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        algorithm: EncapsulationAlgorithm,
    ) -> Result<Arc<Key>, KmsError> {
        call.parameter("keyId", key_id);
        call.parameter("encapsulationAlgorithm", algorithm.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok: Authorized<A> = call.may_on_key(&key, alias.as_deref(), None, |_| {})?;
        let key = ok.into_target();
        key.admits(Gate::Use)?;
        Ok(key)
    }

    /// Does a task that cannot be refused for its input, which was checked.
    fn perform(&self, key: &Key, task: Task<'_>) -> Result<Secret<Vec<u8>>, KmsError> {
        self.attempt(key, task)?.ok_or_else(|| InternalFault::Custody.into())
    }

    /// Does a task with the current material; `None` when the input does not fit.
    pub(super) fn attempt(
        &self,
        key: &Key,
        task: Task<'_>,
    ) -> Result<Option<Secret<Vec<u8>>>, KmsError> {
        let version = key.current().ok_or(InternalFault::Record)?;
        let (id, spec) = (key.id(), key.record.spec);
        match self.custody.perform(id, version.version, spec, &version.sealed, task) {
            Ok(result) => Ok(Some(result)),
            Err(CustodyError::BadInput) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    fn signing<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        algorithm: SigningAlgorithm,
        kind: MessageType,
    ) -> Result<Arc<Key>, KmsError> {
        call.parameter("keyId", key_id);
        call.parameter("signingAlgorithm", algorithm.as_str());
        call.parameter("messageType", kind.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok: Authorized<A> = call.may_on_key(&key, alias.as_deref(), None, |context| {
            context.one("kms:SigningAlgorithm", algorithm.as_str());
            context.one("kms:MessageType", kind.as_str());
        })?;
        Ok(ok.into_target())
    }

    fn macs<A: Permission>(
        &self,
        call: &mut Call<'_>,
        key_id: &str,
        algorithm: MacAlgorithm,
    ) -> Result<Arc<Key>, KmsError> {
        call.parameter("keyId", key_id);
        call.parameter("macAlgorithm", algorithm.as_str());
        let Named { key, alias } =
            self.named(&call.caller.principal, key_id, Naming::KeyOrAlias)?;
        call.resource(&key.arn);
        let ok: Authorized<A> = call.may_on_key(&key, alias.as_deref(), None, |context| {
            context.one("kms:MacAlgorithm", algorithm.as_str());
        })?;
        Ok(ok.into_target())
    }
}

/// With `DryRun` what would succeed fails here.
pub(super) fn dry(dry_run: bool) -> Result<(), KmsError> {
    if dry_run { Err(KmsError::DryRun) } else { Ok(()) }
}

fn mac_fits(key: &Key, operation: &str, algorithm: MacAlgorithm) -> Result<(), KmsError> {
    key.is_for(operation, KeyUsage::GenerateVerifyMac)?;
    key.offers(key::mac_algorithms(key.record.spec), &algorithm)
}

/// Whether the key signs messages of that type and length with that algorithm.
fn signs(
    key: &Key,
    algorithm: SigningAlgorithm,
    kind: MessageType,
    message: &[u8],
) -> Result<(), KmsError> {
    key.offers(key::signing_algorithms(key.record.spec), &algorithm)?;
    let wrong_type = || {
        let (kind, algorithm) = (kind.to_string(), algorithm.to_string());
        Err(Violation::MessageType { kind, algorithm }.into())
    };
    let wrong_length = || Err(Violation::DigestLength { algorithm: algorithm.to_string() }.into());
    let ml_dsa = matches!(key.record.spec, KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87);
    match (kind, public_key::digest_of(algorithm)) {
        (MessageType::Raw, _) if algorithm != SigningAlgorithm::Ed25519PhSha512 => Ok(()),
        (MessageType::Digest, Some(digest)) if message.len() == digest.output_len() => Ok(()),
        (MessageType::Digest, Some(_)) => wrong_length(),
        (MessageType::Digest, None) if algorithm == SigningAlgorithm::Ed25519PhSha512 => {
            if message.len() == SHA_512 { Ok(()) } else { wrong_length() }
        }
        (MessageType::ExternalMu, _) if ml_dsa && message.len() == MU => Ok(()),
        (MessageType::ExternalMu, _) if ml_dsa => wrong_length(),
        _ => wrong_type(),
    }
}
