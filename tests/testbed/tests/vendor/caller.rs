//! A well-behaved caller whose every part can be spoiled.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::ZlibEncoder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use testbed::Vendor;

pub(crate) const ACCOUNT: u64 = 1_400_000_000;
pub(crate) const ADMINISTRATOR: &str = "administrator";
pub(crate) const KEY: &str = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e";
pub(crate) const GROUP: &str = "@TGS#aC5SZEAEF";
pub(crate) const CLEAR: &str = "/v4/group_open_http_svc/clear_group_attr";
pub(crate) const GET: &str = "/v4/group_open_attr_http_svc/get_group_attr";

/// What the signature is made of.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) key: String,
    pub(crate) sdkappid: u64,
    pub(crate) identifier: String,
    pub(crate) time: i64,
    pub(crate) expire: i64,
}

impl Signed {
    pub(crate) fn usersig(&self) -> String {
        let Self { key, sdkappid, identifier, time, expire } = self;
        let text = format!(
            "TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{time}\nTLS.expire:{expire}\n"
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let fields = json!({
            "TLS.ver": "2.0", "TLS.identifier": identifier, "TLS.sdkappid": sdkappid, "TLS.time": time,
            "TLS.expire": expire, "TLS.sig": STANDARD.encode(mac.finalize().into_bytes()),
        });
        packed(&fields.to_string())
    }
}

/// zlib and the vendor's base64.
pub(crate) fn packed(text: &str) -> String {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    STANDARD.encode(packer.finish().unwrap()).replace('+', "*").replace('/', "-").replace('=', "_")
}

#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Caller {
    pub(crate) fn of(vendor: &Vendor) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self {
            http: http.timeout(Duration::from_secs(10)).build().unwrap(),
            url: vendor.url(),
            query: [
                ("sdkappid", ACCOUNT.to_string()),
                ("identifier", ADMINISTRATOR.into()),
                ("usersig", signed().usersig()),
                ("random", u32::MAX.to_string()),
                ("contenttype", "json".into()),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
            body: json!({"GroupId": GROUP}).to_string(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let parameter = self.query.iter_mut().find(|(given, _)| given == name).unwrap();
        value.clone_into(&mut parameter.1);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.query.retain(|(given, _)| given != name);
        self
    }

    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn group(self, group: &str) -> Self {
        self.body(&json!({"GroupId": group}).to_string())
    }

    /// The values go into the URL as they are; the tests escape where it matters.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let query: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.http.request(method, format!("{}{path}?{}", self.url, query.join("&"))).body(self.body.clone())
    }

    pub(crate) async fn send(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.request(reqwest::Method::POST, path).send().await
    }

    /// The answer of a call that must get one, with HTTP status 200.
    pub(crate) async fn call(&self, path: &str) -> Value {
        let answer = self.send(path).await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub(crate) async fn code(&self, path: &str) -> i64 {
        self.call(path).await["ErrorCode"].as_i64().unwrap()
    }
}

/// A signature that is good for a day from now.
pub(crate) fn signed() -> Signed {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Signed {
        key: KEY.into(),
        sdkappid: ACCOUNT,
        identifier: ADMINISTRATOR.into(),
        time: i64::try_from(now).unwrap(),
        expire: 86_400,
    }
}
