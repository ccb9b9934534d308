//! Values that several actions share: blobs, times, and AWS's enumerations.

mod enums;
mod stores;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize as _;

pub use self::enums::{
    DataKeyPairSpec, DataKeySpec, EncapsulationAlgorithm, EncryptionAlgorithm, ExpirationModel,
    ImportState, ImportType, IncludeKeyMaterial, KeyAgreementAlgorithm, KeyFamily, KeyManager,
    KeySpec, KeyState, KeyUsage, MacAlgorithm, MaterialState, MessageType, Origin, RotationType,
    SigningAlgorithm, WrappingAlgorithm, WrappingKeySpec,
};
pub use self::stores::{ConnectionError, CustomKeyStoreType, XksConnectivity};
use crate::clock::Millis;
use crate::secret::Secret;

/// Pairs that are bound into a symmetric ciphertext and shown in audit records. Not secret.
pub type EncryptionContext = BTreeMap<String, String>;

/// Bytes that are no secret. Base64 in JSON, raw in frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes(deserializer).map(Blob)
    }
}

/// Bytes that are secret, on their way over a trusted wire. This is the one door by which a
/// [`Secret`] is serialised: base64 in JSON, raw in frames.
#[derive(Debug)]
pub struct Plaintext(pub Secret<Vec<u8>>);

impl Plaintext {
    /// Takes the bytes.
    pub fn new(bytes: Vec<u8>) -> Plaintext {
        Plaintext(Secret::new(bytes))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Serialize for Plaintext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(self.expose(), serializer)
    }
}

impl<'de> Deserialize<'de> for Plaintext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_bytes(deserializer).map(Plaintext::new)
    }
}

/// A moment. Seconds with a fraction in JSON, milliseconds in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub Millis);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.0.0;
        if !serializer.is_human_readable() {
            return serializer.serialize_i64(millis);
        }
        if millis % 1000 == 0 {
            return serializer.serialize_i64(millis / 1000);
        }
        // Exact to the millisecond up to the year 287396: below 2^53 ms.
        #[expect(clippy::cast_precision_loss, reason = "milliseconds stay below 2^53")]
        serializer.serialize_f64(millis as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(|millis| Timestamp(Millis(millis)));
        }
        let seconds = f64::deserialize(deserializer)?;
        let millis = (seconds * 1000.0).round();
        if !millis.is_finite() || millis.abs() > 9.0e15 {
            return Err(de::Error::custom("a time out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "within 2^53 by the check above")]
        Ok(Timestamp(Millis(millis as i64)))
    }
}

fn serialize_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(bytes);
    }
    let mut text = STANDARD.encode(bytes);
    let done = serializer.serialize_str(&text);
    text.zeroize();
    done
}

fn deserialize_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Base64Text)
    } else {
        deserializer.deserialize_byte_buf(RawBytes)
    }
}

struct Base64Text;

impl Visitor<'_> for Base64Text {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        STANDARD.decode(text).map_err(|_| E::custom("not base64"))
    }
}

struct RawBytes;

impl Visitor<'_> for RawBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}
