//! How an account at the vendor is identified.

/// An account at the vendor. The vendor's rate limits count per account, so everything that sends for one account shares
/// one set of permits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId {
    /// `SDKAppID`, the vendor's number of the account.
    pub sdk_app_id: i64,
    /// Host and port that calls go to, as `host:port`.
    pub host: String,
}
