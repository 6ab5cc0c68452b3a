//! `UserSig`, the signature that every call carries. Source: the vendor's page "Generating `UserSig`".

use std::fmt;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::secret_key::SecretKey;

/// How long the operator's signatures are valid, in seconds. The vendor recommends at least a day.
pub const VALID_FOR_SECONDS: i64 = 86_400;

/// How far the clock may step back, in seconds, before a signature counts as issued in the future.
const CLOCK_STEP_SECONDS: i64 = 60;

/// A signature for one account and identifier. It is a credential, so it implements neither `Display` nor `Serialize`.
#[derive(Clone)]
pub struct UserSig {
    text: SecretString,
    issued: i64,
    valid_for: i64,
}

/// The JSON object inside a signature. `TLS.expire` is a duration in seconds, not a point in time.
#[derive(Serialize)]
struct Ticket<'a> {
    #[serde(rename = "TLS.ver")]
    version: &'static str,
    #[serde(rename = "TLS.identifier")]
    identifier: &'a str,
    #[serde(rename = "TLS.sdkappid")]
    sdk_app_id: u32,
    #[serde(rename = "TLS.expire")]
    valid_for: i64,
    #[serde(rename = "TLS.time")]
    issued: i64,
    #[serde(rename = "TLS.sig")]
    sig: String,
}

impl UserSig {
    /// Mints a signature for `identifier` of the account `sdk_app_id`. It is valid for `valid_for_seconds` from
    /// `issued_unix` (Unix seconds), including the last second.
    #[must_use]
    pub fn mint(
        key: &SecretKey,
        sdk_app_id: u32,
        identifier: &str,
        issued_unix: i64,
        valid_for_seconds: i64,
    ) -> Self {
        let signed = format!(
            "TLS.identifier:{identifier}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{issued_unix}\nTLS.expire:{valid_for_seconds}\n"
        );
        let ticket = Ticket {
            version: "2.0",
            identifier,
            sdk_app_id,
            valid_for: valid_for_seconds,
            issued: issued_unix,
            sig: STANDARD.encode(hmac_sha256(key, signed.as_bytes())),
        };
        Self { text: SecretString::from(encode(&ticket)), issued: issued_unix, valid_for: valid_for_seconds }
    }

    /// When it was issued, in Unix seconds.
    #[must_use]
    pub fn issued(&self) -> i64 {
        self.issued
    }

    /// The last second in which the vendor accepts it, in Unix seconds.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.issued.saturating_add(self.valid_for)
    }

    /// Whether a new signature is due at `now_unix` (Unix seconds): after half its validity, or if the clock was set
    /// back to before it was issued, because the vendor might reject a signature from the future as forged.
    #[must_use]
    pub fn is_stale(&self, now_unix: i64) -> bool {
        let age = now_unix.saturating_sub(self.issued);
        age >= self.valid_for / 2 || age < -CLOCK_STEP_SECONDS
    }

    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for UserSig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserSig([hidden], issued {}, expires {})", self.issued, self.expires())
    }
}

fn hmac_sha256(key: &SecretKey, message: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Compresses with zlib, then encodes in base64 with the vendor's own alphabet, which needs no percent-encoding. It is
/// not base64url.
fn encode(ticket: &Ticket<'_>) -> String {
    let json = serde_json::to_vec(ticket).expect("a struct of text and numbers is always JSON");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&json).expect("writing to a Vec cannot fail");
    let compressed = zlib.finish().expect("writing to a Vec cannot fail");
    STANDARD.encode(compressed).replace('+', "*").replace('/', "-").replace('=', "_")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::ZlibDecoder;
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::KeyFormat;

    fn decode(usersig: &str) -> Value {
        let base64 = usersig.replace('*', "+").replace('-', "/").replace('_', "=");
        let compressed = STANDARD.decode(base64).unwrap();
        let mut json = String::new();
        ZlibDecoder::new(&compressed[..]).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn minted(issued: i64, valid_for: i64) -> UserSig {
        UserSig::mint(
            &SecretKey::parse(&[b'c'; 64], KeyFormat::Hex64).unwrap(),
            1_400_000_000,
            "administrator",
            issued,
            valid_for,
        )
    }

    #[test]
    fn signatures_agree_with_the_published_vectors() {
        let file: Value = serde_json::from_str(include_str!("usersig_vectors.json")).unwrap();
        for vector in file["vectors"].as_array().unwrap() {
            let text = |name: &str| vector[name].as_str().unwrap();
            let number = |name: &str| vector[name].as_i64().unwrap();
            let key = SecretKey::parse(text("key").as_bytes(), KeyFormat::Any).unwrap();
            let sdk_app_id = u32::try_from(number("sdkappid")).unwrap();
            let sig = UserSig::mint(&key, sdk_app_id, text("identifier"), number("time"), number("expire"));
            let decoded = decode(sig.expose());
            let expected = json!({
                "TLS.ver": "2.0", "TLS.identifier": text("identifier"), "TLS.sdkappid": sdk_app_id,
                "TLS.expire": number("expire"), "TLS.time": number("time"), "TLS.sig": text("hmac"),
            });
            assert_eq!(decoded, expected);
            if let Some(published) = vector["usersig"].as_str() {
                assert_eq!(decode(published), expected);
            }
        }
    }

    #[test]
    fn a_signature_needs_no_percent_encoding() {
        for issued in 1_700_000_000..1_700_000_050 {
            let sig = minted(issued, VALID_FOR_SECONDS);
            assert!(sig.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b"*-_".contains(&b)));
        }
    }

    #[test]
    fn a_signature_is_stale_after_half_its_validity_or_when_the_clock_went_back() {
        let sig = minted(1_000_000, 86_400);
        assert!(!sig.is_stale(1_000_000));
        assert!(!sig.is_stale(1_000_000 + 43_199));
        assert!(sig.is_stale(1_000_000 + 43_200));
        assert!(!sig.is_stale(1_000_000 - 60));
        assert!(sig.is_stale(1_000_000 - 61));
        assert!(sig.is_stale(i64::MAX));
        assert!(sig.is_stale(i64::MIN));
        assert_eq!((sig.issued(), sig.expires()), (1_000_000, 1_086_400));
    }

    #[test]
    fn a_signature_never_prints_itself() {
        let sig = minted(5, 10);
        assert_eq!(format!("{sig:?}"), "UserSig([hidden], issued 5, expires 15)");
    }
}
