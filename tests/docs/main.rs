//! The documentation agrees with the program. These tests need no cluster; those that do are in
//! `tests/e2e/documentation`.
//!
//! | question | file |
//! |---|---|
//! | is the page of vendor error codes up to date? | `codes` |
//! | are all fields, reasons and flags documented, and no others? | `names` |
//! | do the links resolve, do the named tests and files exist? | `pages` |
//! | does every guarantee, reason, class of codes and fault have its tests? | `proofs` |

mod codes;
mod layers;
mod names;
mod pages;
mod proofs;
mod sources;
mod text;
