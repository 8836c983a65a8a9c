//! A fleet by seed: real trackers, keepers, votes and answers in a world of chance, without a socket or a clock.
//!
//! Each seed is a small world: one to three regions, up to five probes in each, two to four servers with clocks of
//! their own, and for half a minute everything that can go wrong does; then it is healed. After each step of a
//! server the invariants of the design are seen to ([`invariants`], [`asking`]). A seed that fails is printed;
//!
//! ```text
//! SEED=17 cargo test --test simulation          runs just that one, and prints all that happened
//! SEEDS=20000 cargo test --test simulation      runs so many
//! ```

mod asking;
mod broken;
mod clock;
mod dice;
mod false_failovers;
mod faults;
mod fleet;
mod invariants;
mod network;
mod probe;
mod server;
#[path = "../../tools/bench/verdicts/mod.rs"]
mod verdicts;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use broken::{
    Honest, LastComeCounts, LineAlwaysCarries, Misread, NeverNews, RepeatsGenerations, Rules,
    SilenceIsFailure,
};
use fleet::{Counts, Fleet};
use invariants::Violation;

#[test]
fn whatever_happens_to_a_fleet_the_invariants_hold() {
    if let Some(seed) = number_from("SEED") {
        let (result, trace) = Fleet::new(seed, &Honest, true).run();
        trace.iter().for_each(|line| println!("{line}"));
        println!("{result:?}");
        assert!(result.is_ok(), "seed {seed}: {}", result.expect_err("it is no success"));
        return;
    }
    let seeds = number_from("SEEDS").unwrap_or(SEEDS);
    let (failed, total) = run_all(seeds, &Honest, |_| false);
    println!("{seeds} seeds: {total:?}");
    if let Some((seed, violation)) = failed.first() {
        let (_, trace) = Fleet::new(*seed, &Honest, true).run();
        let last = trace.len().saturating_sub(TRACE_LINES);
        trace[last..].iter().for_each(|line| println!("{line}"));
        let others: Vec<String> =
            failed.iter().map(|(seed, of)| format!("{seed} {}", of.invariant)).collect();
        panic!(
            "{} of {seeds} seeds fail. {violation}\nAll of it: SEED={seed} cargo test --test simulation\n{}",
            failed.len(),
            others.join("\n")
        );
    }
    assert!(
        total.turns > seeds && total.faults > seeds && total.questions > seeds,
        "nothing happens: {total:?}"
    );
}

#[test]
fn the_same_seed_is_the_same_day() {
    for seed in 0..3 {
        let [one, two] = [0, 1].map(|_| Fleet::new(seed, &Honest, true).run().1);
        assert!(one.len() > 10 && one == two, "seed {seed}");
    }
}

#[test]
fn servers_that_break_the_rules_are_found_out() {
    let breaks: [(&str, &dyn Rules, &[&str]); 9] = [
        ("silence is failure", &SilenceIsFailure, &["every Down rests on votes", "verdicts are by the book"]),
        ("what comes last counts", &LastComeCounts::default(), &["verdicts are by the book"]),
        ("generations are repeated", &RepeatsGenerations::default(), &["a generation only grows"]),
        ("nothing new is published", &NeverNews::default(), &["what is held is published in time"]),
        (
            "a majority is enough",
            &Misread { written: "quorum = \"75%\"", read: "quorum = \"50%\"" },
            &["verdicts are by the book"],
        ),
        ("the line always carries", &LineAlwaysCarries, &["no answer changes because a line was cut"]),
        (
            "the governor lets all go",
            &Misread { written: "withdraw_max = \"50%\"", read: "withdraw_max = \"100%\"" },
            &["the governor does as it says"],
        ),
        (
            "all of a group must pass",
            &Misread { written: "need = 1", read: "need = 2" },
            &["verdicts are by the book"],
        ),
        (
            "the fence is open",
            &Misread { written: "fence = true\non_down = \"nodata\"", read: "" },
            &["nobody gets out of a fence"],
        ),
    ];
    for (name, rules, invariants) in breaks {
        let tells = |violation: &Violation| invariants.contains(&violation.invariant);
        let (failed, _) = run_all(SEEDS_BROKEN, rules, tells);
        assert!(failed.iter().any(|(_, violation)| tells(violation)), "{name}: {:?}", failed.first());
    }
}

/// Runs the seeds from 0 on all cores, until a violation is `enough`; returns those that fail, in order, and what
/// happened in all others.
fn run_all(
    seeds: u64,
    rules: &dyn Rules,
    enough: impl Fn(&Violation) -> bool + Sync,
) -> (Vec<(u64, Violation)>, Counts) {
    let (next, results) = (AtomicU64::new(0), Mutex::new((Vec::new(), Counts::default())));
    thread::scope(|threads| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let day = AssertUnwindSafe(|| Fleet::new(seed, rules, false).run().0);
                    let panicked = |_| Err(Violation::new("nothing panics", format!("seed {seed}")));
                    let result = catch_unwind(day).unwrap_or_else(panicked);
                    let mut results = results.lock().expect("nobody panics with it");
                    match result {
                        Ok(counts) => results.1.add(counts),
                        Err(violation) => {
                            if enough(&violation) {
                                next.store(seeds, Ordering::Relaxed);
                            }
                            results.0.push((seed, violation));
                        }
                    }
                }
            });
        }
    });
    let (mut failed, total) = results.into_inner().expect("nobody panics with it");
    failed.sort_by_key(|(seed, _)| *seed);
    (failed, total)
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// In CI.
const SEEDS: u64 = 1_000;

/// A broken rule must show in so many.
const SEEDS_BROKEN: u64 = 60;

/// Of a seed that fails, the last so many lines are shown.
const TRACE_LINES: usize = 60;
