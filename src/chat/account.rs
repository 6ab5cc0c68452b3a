//! Identifies an account at the vendor.

/// An account at the vendor. The vendor's rate limits apply per account, so all apps of one account share one set of
/// permits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId {
    /// `SDKAppID`, the vendor's number for the account.
    pub sdk_app_id: i64,
    /// Host and port that calls go to, as `host:port`.
    pub host: String,
}
