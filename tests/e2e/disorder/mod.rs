//! Everything around the operator in disorder: nothing is sent that must not be, the good ones are unaffected, it is
//! said what is wrong, and it heals by itself.
//!
//! | what is in disorder | file |
//! |---|---|
//! | the vendor, while many wait | `outage` |
//! | objects that no CRD of ours would have let pass | `stored` |
//! | the CRDs | `kinds` |
//! | objects and namespaces that go away, and come back under their names | `made_again` |
//! | the order of the API server's answers | `overtaken` |
//! | the time between an intent and its call | `held_up` |
//! | the operator's rights | `rights` |
//! | the account's Secret | `secrets` |

mod held_up;
mod kinds;
mod made_again;
mod outage;
mod overtaken;
mod rights;
mod secrets;
mod stored;
