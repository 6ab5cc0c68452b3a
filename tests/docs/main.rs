//! The documentation says what the program says. No test here needs a cluster; the ones that do are in
//! `tests/e2e/documentation`.
//!
//! | question | file |
//! |---|---|
//! | which codes of the vendor are known? | `codes` |
//! | are all fields, reasons and flags documented, and no others? | `names` |
//! | do the links lead somewhere, do the named tests exist? | `pages` |
//! | does every guarantee, reason, class of codes and fault have its tests? | `proofs` |

mod codes;
mod layers;
mod names;
mod pages;
mod proofs;
mod sources;
mod text;
