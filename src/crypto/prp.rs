//! One 16-byte value, hidden so that nothing shows but whether two are equal.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

use crate::secret::Secret;

/// AES-256 as the permutation it is. Good for values that are already authenticated by other
/// means and never longer than a block; wiped on drop.
pub struct Hide(Box<Aes256>);

impl Hide {
    /// Expands `key`.
    pub fn new(key: &Secret<[u8; 32]>) -> Self {
        Self(Box::new(Aes256::new(key.expose().into())))
    }

    /// Hides a value.
    pub fn hide(&self, value: [u8; 16]) -> [u8; 16] {
        let mut block = value.into();
        self.0.encrypt_block(&mut block);
        block.into()
    }

    /// Shows it again.
    pub fn show(&self, hidden: [u8; 16]) -> [u8; 16] {
        let mut block = hidden.into();
        self.0.decrypt_block(&mut block);
        block.into()
    }
}

impl core::fmt::Debug for Hide {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Hide(..)")
    }
}
