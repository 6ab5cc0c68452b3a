//! Nothing secret comes out of the process: not the account's key, not a signature made with it, not a signed query, in
//! no encoding and at no log level, whatever the vendor and the network do.
//!
//! | question | file |
//! |---|---|
//! | how is a secret found in any disguise? | `search` |
//! | what gives one away, and where is looked? | `leaks` |

mod leaks;
mod search;
