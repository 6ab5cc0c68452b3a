//! The moves of the model.

use proptest::prelude::*;

use crate::chat::{AccountFailure, Class};
use crate::protocol::plan::AppState;

/// What happens to a call at the vendor and on the network.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Executed, and the answer arrives.
    Executed,
    /// The vendor rejects it.
    Refused(Class),
    /// No answer; it was never executed.
    LostBefore,
    /// No answer; it was executed.
    LostAfter,
    /// No answer; it is executed this many seconds after its deadline.
    Late(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// Seconds pass.
    Pass(u64),
    /// A process renews its lease, or takes it if it may.
    Lead(usize),
    /// The watch of a process catches up.
    Deliver(usize),
    /// A process executes its next step.
    Step(usize, Fate),
    /// The answer to a process's next intent write is lost; the intent is stored.
    LoseAnswer(usize),
    /// A process crashes and is restarted.
    Crash(usize),
    /// A user takes a seat in the live audio room, which sets an attribute.
    Seat,
    Suspend(bool),
    Request(u8),
    /// Another field is edited.
    Edit,
    /// The object is deleted and re-created under the same name.
    Recreate,
    App(AppState),
    /// Another client writes the status.
    Forge(Forgery),
}

/// How another client changes the status.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forgery {
    Erased,
    WithoutAttempt,
    Fresh,
    Ended,
    OfAnother,
    /// The status from this many versions ago.
    Older(u8),
}

/// What can happen to a leader that keeps leading while another client forges statuses.
pub(super) fn forgeries() -> impl Strategy<Value = Move> {
    let forgery = prop_oneof![
        Just(Forgery::Erased),
        Just(Forgery::WithoutAttempt),
        Just(Forgery::Fresh),
        Just(Forgery::Ended),
        Just(Forgery::OfAnother),
        (1u8..8).prop_map(Forgery::Older),
    ];
    prop_oneof![
        3 => forgery.prop_map(Move::Forge),
        7 => moves().prop_filter("the leader keeps leading", |step| {
            !matches!(step, Move::Crash(_) | Move::Lead(_) | Move::Recreate)
        }),
    ]
}

pub(super) fn moves() -> impl Strategy<Value = Move> {
    let class = prop_oneof![
        Just(Class::ThrottledGroup),
        Just(Class::ThrottledAccount),
        Just(Class::SignatureExpired),
        Just(Class::Account(AccountFailure::Credentials)),
        Just(Class::GroupNotFound),
    ];
    let fate = prop_oneof![
        3 => Just(Fate::Executed),
        2 => class.prop_map(Fate::Refused),
        2 => Just(Fate::LostBefore),
        2 => Just(Fate::LostAfter),
        2 => (0u64..=3).prop_map(Fate::Late),
    ];
    let state = prop_oneof![
        4 => Just(AppState::Working),
        1 => Just(AppState::Checking),
        1 => Just(AppState::Missing),
    ];
    let seconds = prop_oneof![6 => 1u64..4, 2 => 4u64..17, 1 => 17u64..120];
    prop_oneof![
        4 => seconds.prop_map(Move::Pass),
        4 => (0usize..3).prop_map(Move::Lead),
        3 => (0usize..3).prop_map(Move::Deliver),
        14 => (0usize..3, fate).prop_map(|(process, fate)| Move::Step(process, fate)),
        1 => (0usize..3).prop_map(Move::LoseAnswer),
        1 => (0usize..3).prop_map(Move::Crash),
        1 => Just(Move::Seat),
        1 => any::<bool>().prop_map(Move::Suspend),
        1 => (0u8..3).prop_map(Move::Request),
        1 => Just(Move::Edit),
        1 => Just(Move::Recreate),
        1 => state.prop_map(Move::App),
    ]
}
