//! The vendor's error codes: what each means for a call, and what the user can do about it.
//!
//! Source: the vendor's page "Error Codes" and the tables on the pages of the two commands, compared across several
//! revisions. "Not executed" is a closed list: a code that is not on it counts as an unknown outcome.

mod table;

/// What an error code means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Executed.
    Success,
    /// Not executed: the group does not exist.
    GroupNotFound,
    /// Not executed: this type of group has no attributes.
    NotSupported,
    /// Not executed: the request itself is wrong.
    Invalid,
    /// Not executed: too many writes to this group.
    ThrottledGroup,
    /// Not executed: too many calls by this account.
    ThrottledAccount,
    /// Not executed: the signature has expired; a new one may be accepted.
    SignatureExpired,
    /// Not executed: the problem is the account, not the group.
    Account(AccountFailure),
    /// Possibly executed.
    Unknown,
}

/// Why the vendor rejects the account, by where it can be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountFailure {
    /// Key, identifier and account number do not match. Correct the Secret or the manifest.
    Credentials,
    /// Disabled, unpaid, not in the plan, or refused by IP address. Correct it in the vendor's console.
    Unavailable,
    /// The account lives in another data centre. Correct `spec.region`.
    WrongRegion,
    /// What answers did not understand the call, whatever it was about. Correct `spec.endpoint`, or what stands in
    /// between.
    Endpoint,
}

/// One error code. The two texts are sentences without a full stop, together at most 300 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// As in `ErrorCode`; 0 is success.
    pub number: i64,
    /// What it means for the call.
    pub class: Class,
    /// What happened.
    pub explanation: &'static str,
    /// What to do, as an imperative.
    pub remedy: &'static str,
    /// Whether the vendor's pages list it, alone or as part of a family. An unlisted code should be investigated.
    pub listed: bool,
}

/// Looks up a code. Every number has a result; an unlisted one is [`Class::Unknown`].
#[must_use]
pub fn lookup(number: i64) -> Code {
    if let Some(code) = all_listed().find(|code| code.number == number) {
        return code;
    }
    match number {
        // Families in which every code concerns the signature or the account.
        70_000..=70_099 | 70_340..=70_349 => Code { number, ..table::SIGNATURE_FAMILY },
        _ => Code { number, ..table::UNLISTED },
    }
}

/// Whether the code comes from the group service, which the vendor's gateway asks only after it has accepted the
/// account and its signature.
#[must_use]
pub fn is_about_group(number: i64) -> bool {
    (10_000..=10_999).contains(&number) && !matches!(lookup(number).class, Class::Account(_))
}

/// Whether the vendor's gateway reports that something behind it failed or did not answer in time.
#[must_use]
pub fn is_gateway_timeout(number: i64) -> bool {
    matches!(number, 60_008 | 60_013 | 60_014 | 70_169 | 70_202 | 70_500)
}

/// All codes that are listed by number, without the families.
pub fn all_listed() -> impl Iterator<Item = Code> {
    table::CODES.iter().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::AccountFailure::{Credentials, Endpoint, Unavailable, WrongRegion};
    use super::*;

    fn class(number: i64) -> Class {
        lookup(number).class
    }

    #[test]
    fn the_codes_have_the_classes_of_the_vendors_pages() {
        let expected: &[(Class, &[i64])] = &[
            (Class::Success, &[0]),
            (Class::Unknown, &[10002, 10016, 10056, 60008, 60013, 60014, 70169, 70202, 70500]),
            (Class::Invalid, &[10004, 10045, 10046, 10047, 10048]),
            (Class::Account(Endpoint), &[10003, 10011, 60002, 60003, 60009, 60015]),
            (Class::ThrottledAccount, &[10006, 60007, 60011, 60018, 60019]),
            (Class::ThrottledGroup, &[10049]),
            (Class::NotSupported, &[10007]),
            (Class::GroupNotFound, &[10010, 10015]),
            (Class::SignatureExpired, &[70001, 70052]),
            (Class::Account(WrongRegion), &[60026]),
            (Class::Account(Unavailable), &[10026, 10058, 10059, 60016, 60017, 60020, 60021, 60027, 60028]),
            (Class::Account(Unavailable), &[70051, 70398, 72000, 72002, 80005]),
            (
                Class::Account(Credentials),
                &[10012, 60004, 60005, 60006, 60010, 60012, 60025, 70002, 70003, 70005],
            ),
            (Class::Account(Credentials), &[70009, 70013, 70014, 70016, 70020, 70050, 70107, 70402, 70403]),
        ];
        let mut count = 0;
        for (class, numbers) in expected {
            for number in *numbers {
                let code = lookup(*number);
                assert_eq!((code.class, code.listed), (*class, true), "{number}");
                count += 1;
            }
        }
        assert_eq!(count, all_listed().count(), "a listed code is missing above");
    }

    #[test]
    fn families_speak_of_the_account_and_everything_else_is_unknown() {
        for number in [70_000, 70_004, 70_099, 70_340, 70_346, 70_349] {
            assert_eq!((lookup(number).class, lookup(number).listed), (Class::Account(Credentials), true));
            assert_eq!(lookup(number).number, number);
        }
        for number in [-1, 1, 10_001, 69_999, 70_100, 70_339, 70_350, i64::MIN, i64::MAX] {
            assert_eq!((lookup(number).class, lookup(number).listed), (Class::Unknown, false), "{number}");
            assert_eq!(lookup(number).number, number);
        }
        assert_eq!(class(10_002), Class::Unknown);
    }

    #[test]
    fn codes_of_the_group_service_and_of_the_gateways_timeouts_are_told_apart() {
        for number in [10002, 10004, 10010, 10016, 10056, 10900] {
            assert!(is_about_group(number) && !is_gateway_timeout(number), "{number}");
        }
        for number in [60008, 60013, 60014, 70169, 70202, 70500] {
            assert!(is_gateway_timeout(number) && !is_about_group(number), "{number}");
            assert_eq!(class(number), Class::Unknown);
        }
        for number in [0, 1, 10003, 10011, 10012, 10026, 11000, 60004, 70003, 99999] {
            assert!(!is_about_group(number) && !is_gateway_timeout(number), "{number}");
        }
    }

    #[test]
    fn every_text_is_one_short_sentence_that_a_condition_can_hold() {
        let families = [lookup(70_099), lookup(-1)];
        for code in all_listed().chain(families) {
            for text in [code.explanation, code.remedy] {
                assert!(!text.is_empty() && text.starts_with(char::is_uppercase), "{text}");
                assert!(!text.ends_with(['.', ' ', '!']) && !text.contains(". "), "{text}");
                assert!(text.is_ascii() && !text.contains(char::is_control), "{text}");
            }
            assert!(code.explanation.len() + code.remedy.len() <= 300, "{}", code.number);
        }
    }

    #[test]
    fn every_code_stands_once_and_is_explained_in_its_own_words() {
        let numbers: Vec<i64> = all_listed().map(|code| code.number).collect();
        assert!(numbers.is_sorted());
        let unique: HashSet<i64> = numbers.iter().copied().collect();
        assert_eq!(unique.len(), numbers.len());
        let explanations: HashSet<&str> = all_listed().map(|code| code.explanation).collect();
        assert_eq!(explanations.len(), numbers.len());
    }
}
