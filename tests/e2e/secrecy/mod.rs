//! No secret leaves the process: no account key, UserSig or signed query, in any encoding, at any log level, whatever
//! the vendor and the network do.
//!
//! | question | file |
//! |---|---|
//! | how is a secret found in any encoding? | `search` |
//! | what could leak one, and what is searched? | `leaks` |

mod leaks;
mod search;
