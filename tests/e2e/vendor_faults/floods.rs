//! Endless answers.

use testbed::until;
use testbed::vendor::{Command, Misbehaviour, When};

use super::{FIRST_ACCOUNT, until_verified};
use crate::world::replicas::NO_ELECTION;
use crate::world::{self, DEADLINE, World};

#[tokio::test]
async fn endless_answers_cost_no_memory() {
    let world = World::new().await;
    let operator = world.operator(&NO_ELECTION).await;
    world.app("").await;
    world.app_is("Verified").await;
    let bad: Vec<String> = (0..4).flat_map(|n| [format!("huge-{n}"), format!("bomb-{n}")]).collect();
    for (account, name) in (FIRST_ACCOUNT..).zip(&bad) {
        world.app_with_room(name, account, "").await;
        let flood =
            if name.starts_with("huge") { Misbehaviour::HugeBody(1 << 30) } else { Misbehaviour::GzipBomb };
        world.vendor.script(When::clear().by(account).times(1), flood.clone());
        world.vendor.script(When::get().by(account).of(format!("@TGS#{name}")).times(1), flood);
    }
    until_verified(&world, bad.iter().cloned()).await;
    // Warm up, so that one-time allocations do not count.
    let warm = world::numbered("warm", 20);
    for (_, group) in &warm {
        world.room(group);
    }
    world.many_resets(warm).await;
    world.until_cleared(20, DEADLINE).await;

    let before = operator.rss_kib().unwrap();
    for name in &bad {
        world.reset_of_app(name, "").await;
    }
    let mut peak = before;
    until(DEADLINE, "all to be verified", || {
        peak = peak.max(operator.rss_kib().unwrap_or_default());
        async {
            let reasons = world.reasons().await;
            (reasons.get("VerifiedEmpty") == Some(&bad.len())).then_some(())
        }
    })
    .await;
    println!("{before} KiB before, {peak} KiB at most");
    assert!(peak <= before + 8 * 1024, "{before} KiB grew to {peak} KiB");
    let reads = world
        .vendor
        .entries(|entry| entry.command == Command::Get && entry.group.as_deref() == Some("@TGS#huge-0"));
    assert_eq!(reads.len(), 2, "the first read must have been flooded, too");
    world.check(&[&operator]).await;
}
