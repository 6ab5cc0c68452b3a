//! Several processes and one object, in random orders of everything that can come between them: stale copies, lost
//! answers, crashes, leaders that change, clocks that differ, edits, deletion and creation under the same name.
//!
//! The memory and the decisions are the program's own. The API server, the lease and the vendor are a few lines each,
//! and so is the rule book: what must never happen is checked where it would.

mod model;
mod moves;
mod process;

use proptest::prelude::*;

use self::model::Model;
use self::moves::{Move, moves};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// No call without an intent, none after the end, none while another may still be at work, none twice unless a
    /// read-back allows it; and once the faults stop, the reset ends.
    #[test]
    fn no_order_of_events_between_several_processes_breaks_the_protocol(
        stop in any::<bool>(),
        not_after in prop::option::of(30u64..400),
        skews in prop::array::uniform3(prop_oneof![3 => Just(0i64), 1 => -3500i64..3500]),
        moves in prop::collection::vec(moves(), 1..120),
    ) {
        let mut model = Model::new(stop, not_after, skews);
        for step in moves {
            model.make(step);
        }
        model.come_to_rest();
    }
}

/// The orders that the random ones should find, in case they do not.
#[test]
fn a_leader_that_wakes_up_between_its_intent_and_its_call_sends_nothing() {
    let mut model = Model::new(false, None, [0; 3]);
    model.make(Move::Lead(0));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.intents(), 1);
    model.make(Move::Pass(16));
    model.make(Move::Lead(1));
    model.make(Move::Step(0, moves::Fate::Executed));
    assert_eq!(model.calls(), 0);
    model.come_to_rest();
    assert_eq!(model.calls(), 1);
}
