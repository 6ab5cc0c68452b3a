//! Client for the vendor, Tencent Cloud Chat: everything the operator knows about its REST API.
//!
//! | question | file |
//! |---|---|
//! | which host serves a region | [`region`] |
//! | which hosts may be called, and how they are written | [`endpoint`] |
//! | how an account is identified | [`account`] |
//! | the account's key | [`secret_key`] |
//! | the signature that each call carries | [`usersig`] |
//! | what an error code means and what to do about it | [`codes`] |
//! | what is sent and how an answer is parsed | [`wire`] |
//! | which of the vendor's text may be shown | [`clean`] |
//! | the network: one call, one answer | [`client`] |
//!
//! Everything but [`client`] is pure: no I/O, no clock. No type here prints a key, a signature or a signed
//! URL.
//!
//! The rules come from the vendor's pages "REST API Overview", "Generating `UserSig`", "Error Codes",
//! "Deleting Group Custom Attributes" (`clear_group_attr`) and "Querying Group Custom Attributes"
//! (`get_group_attr`).

pub mod account;
pub mod clean;
pub mod client;
pub mod codes;
pub mod endpoint;
pub mod region;
pub mod secret_key;
pub mod usersig;
pub mod wire;

pub use account::AccountId;
pub use clean::{MAX_TEXT_BYTES, clean_text};
pub use client::{Answer, Call, ChatClient, ClientError, NetworkError, Settings};
pub use codes::{AccountFailure, Class, Code};
pub use endpoint::{AllowedEndpoint, Endpoint, InvalidEndpoint};
pub use secret_key::{InvalidKey, KeyFormat, SecretKey};
pub use usersig::UserSig;
pub use wire::{Command, InvalidReply, Reply};
