//! Encrypting and decrypting with RSA keys. Their ciphertexts are the bare output of RSA: they
//! name no key and bind no context.

use super::Service;
use super::call::Call;
use super::crypto::{Opens, Seals};
use super::lookup::{Named, Naming};
use crate::kms::api::types::{EncryptionAlgorithm, EncryptionContext, KeySpec};
use crate::kms::authz::Authorized;
use crate::kms::blob::Header;
use crate::kms::custody::Task;
use crate::kms::error::{InternalFault, KmsError, Violation};
use crate::kms::key::{Gate, Key};
use crate::kms::public_key;
use crate::secret::Secret;
use crate::sync::Arc;

impl Service {
    /// The key that the caller named, if its ciphertexts are not blobs that name it. A blob of a
    /// symmetric key is never taken for one of this key.
    pub(super) fn find_rsa(
        &self,
        call: &mut Call<'_>,
        blob: &[u8],
        named: Option<&str>,
    ) -> Result<Option<Named>, KmsError> {
        let Some(text) = named else { return Ok(None) };
        let named = self.named(&call.caller.principal, text, Naming::KeyOrAlias)?;
        if named.key.record.spec == KeySpec::SymmetricDefault {
            return Ok(None);
        }
        let other = match Header::parse(blob) {
            Ok((header, _)) => self.key(header.key)?.is_some(),
            Err(_) => false,
        };
        Ok((!other).then_some(named))
    }

    /// Opens a ciphertext of an RSA key.
    pub(super) fn open_rsa<A: Opens>(
        &self,
        call: &mut Call<'_>,
        operation: &str,
        named: &Named,
        algorithm: Option<EncryptionAlgorithm>,
        context: &EncryptionContext,
        ciphertext: &[u8],
    ) -> Result<(Secret<Vec<u8>>, EncryptionAlgorithm), KmsError> {
        let Named { key, alias } = named;
        call.resource(&key.arn);
        let wanted = algorithm.unwrap_or(EncryptionAlgorithm::SymmetricDefault);
        let _ok: Authorized<A> = call.may_on_key(key, alias.as_deref(), None, |condition| {
            condition.one("kms:EncryptionAlgorithm", wanted.as_str());
        })?;
        key.admits(Gate::Use)?;
        let algorithm = key.encrypts(operation, algorithm)?;
        call.parameter("encryptionAlgorithm", algorithm.as_str());
        without(context)?;
        let plaintext = self
            .attempt(key, Task::Decrypt { algorithm, ciphertext })?
            .ok_or(KmsError::InvalidCiphertext)?;
        self.used(call, key);
        Ok((plaintext, algorithm))
    }

    /// Encrypts with the public half of an RSA key.
    pub(super) fn seal_rsa<A: Seals>(
        &self,
        ok: Authorized<A>,
        algorithm: EncryptionAlgorithm,
        context: &EncryptionContext,
        plaintext: &[u8],
        dry_run: bool,
    ) -> Result<Vec<u8>, KmsError> {
        let key: Arc<Key> = ok.into_target();
        without(context)?;
        let spec = key.record.spec;
        let max = public_key::oaep_max(spec, algorithm);
        if plaintext.len() > max {
            let algorithm = algorithm.to_string();
            return Err(Violation::PlaintextForSpec { algorithm, spec, max }.into());
        }
        super::asymmetric::dry(dry_run)?;
        let version = key.current().ok_or(InternalFault::Record)?;
        public_key::encrypt(&version.more.public, algorithm, plaintext)
            .map_err(|_| InternalFault::Custody.into())
    }
}

fn without(context: &EncryptionContext) -> Result<(), KmsError> {
    if context.is_empty() { Ok(()) } else { Err(Violation::ContextForSpec.into()) }
}
