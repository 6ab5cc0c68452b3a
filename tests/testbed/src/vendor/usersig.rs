//! UserSig verification (the vendor's "TLSSigAPIv2"), implemented from the vendor's documentation.
//!
//! The vendor's own libraries differ in JSON spacing, key order and compression level. So the raw bytes are
//! not compared: the fields are decoded, and only `TLS.sig` is recomputed.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::ZlibDecoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use super::verify::Refusal;

/// Longer than any genuine UserSig when decompressed.
const UNPACKED_LIMIT: u64 = 8 * 1024;

/// The content of a UserSig.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserSig {
    /// Always `2.0`.
    #[serde(rename = "TLS.ver")]
    pub version: String,
    /// The user it was issued for.
    #[serde(rename = "TLS.identifier")]
    pub identifier: String,
    /// The account it was issued for.
    #[serde(rename = "TLS.sdkappid")]
    pub sdkappid: u64,
    /// When it was issued, in Unix seconds.
    #[serde(rename = "TLS.time")]
    pub time: i64,
    /// Its validity in seconds.
    #[serde(rename = "TLS.expire")]
    pub expire: i64,
    /// The signature itself, base64.
    #[serde(rename = "TLS.sig")]
    pub signature: String,
}

impl UserSig {
    /// Decodes a UserSig from a URL.
    ///
    /// # Errors
    /// The vendor's code for what is wrong.
    pub fn decode(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() {
            return Err(Refusal::of(70002, "UserSig is empty"));
        }
        let packed = unpack_base64(text).ok_or(Refusal::of(70003, "UserSig is not base64"))?;
        let mut json = Vec::new();
        ZlibDecoder::new(packed.as_slice())
            .take(UNPACKED_LIMIT)
            .read_to_end(&mut json)
            .map_err(|_| Refusal::of(70003, "UserSig does not unpack"))?;
        let sig: Self =
            serde_json::from_slice(&json).map_err(|_| Refusal::of(70005, "UserSig is incomplete"))?;
        if sig.version == "2.0" { Ok(sig) } else { Err(Refusal::of(70005, "UserSig has an unknown version")) }
    }

    /// Whether it was signed with this key. The key is the text from the console; its hex is not decoded.
    #[must_use]
    pub fn is_signed_with(&self, key: &str) -> bool {
        let Ok(signature) = STANDARD.decode(&self.signature) else { return false };
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(self.signed_text().as_bytes());
        mac.verify_slice(&signature).is_ok()
    }

    /// Whether it is valid at this time (Unix seconds), including its last second.
    #[must_use]
    pub fn is_valid_at(&self, now: i64) -> bool {
        now <= self.time.saturating_add(self.expire)
    }

    fn signed_text(&self) -> String {
        format!(
            "TLS.identifier:{}\nTLS.sdkappid:{}\nTLS.time:{}\nTLS.expire:{}\n",
            self.identifier, self.sdkappid, self.time, self.expire
        )
    }
}

/// Standard base64 with padding, with `*`, `-` and `_` for `+`, `/` and `=`. This is not base64url.
fn unpack_base64(text: &str) -> Option<Vec<u8>> {
    if text.contains(['+', '/', '=']) {
        return None;
    }
    STANDARD.decode(text.replace('*', "+").replace('-', "/").replace('_', "=")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        key: String,
        sdkappid: u64,
        identifier: String,
        time: i64,
        expire: i64,
        hmac: String,
        usersig: Option<String>,
    }

    fn vectors() -> Vec<(Vector, UserSig)> {
        let vectors: Vectors = serde_json::from_str(include_str!("../../fixtures/usersig.json")).unwrap();
        let signed = |vector: Vector| {
            let sig = UserSig {
                version: "2.0".into(),
                identifier: vector.identifier.clone(),
                sdkappid: vector.sdkappid,
                time: vector.time,
                expire: vector.expire,
                signature: vector.hmac.clone(),
            };
            (vector, sig)
        };
        vectors.vectors.into_iter().map(signed).collect()
    }

    #[test]
    fn published_signatures_are_accepted() {
        for (vector, sig) in vectors() {
            assert!(sig.is_signed_with(&vector.key), "{}", vector.identifier);
        }
    }

    #[test]
    fn published_encodings_are_decoded() {
        let given: Vec<_> = vectors().into_iter().filter_map(|(v, sig)| Some((v.usersig?, sig))).collect();
        assert!(!given.is_empty());
        for (text, sig) in given {
            assert_eq!(UserSig::decode(&text).unwrap(), sig);
        }
    }

    #[test]
    fn a_signature_covers_every_field_and_the_key() {
        let (vector, sig) = vectors().remove(0);
        assert!(!sig.is_signed_with(&vector.key.replace('5', "6")));
        assert!(!UserSig { identifier: "other".into(), ..sig.clone() }.is_signed_with(&vector.key));
        assert!(!UserSig { sdkappid: 1, ..sig.clone() }.is_signed_with(&vector.key));
        assert!(!UserSig { time: sig.time + 1, ..sig.clone() }.is_signed_with(&vector.key));
        assert!(!UserSig { expire: sig.expire + 1, ..sig }.is_signed_with(&vector.key));
    }

    #[test]
    fn the_last_second_is_still_valid() {
        let (_, sig) = vectors().remove(0);
        assert!(sig.is_valid_at(sig.time + sig.expire));
        assert!(!sig.is_valid_at(sig.time + sig.expire + 1));
    }

    #[test]
    fn plain_base64_is_rejected() {
        let text = vectors().into_iter().find_map(|(v, _)| v.usersig.filter(|s| s.contains('*'))).unwrap();
        assert_eq!(UserSig::decode(&text.replace('*', "+").replace('_', "=")).unwrap_err().code, 70003);
    }
}
