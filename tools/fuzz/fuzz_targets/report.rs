//! What comes from the fleet as a probe's report: it is read as what it says, and a keeper that hears it is none the worse.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use windrose::fleet::wire;
use windrose::health::{Opinion, Report};
use windrose::keeper::{Event, Keeper};
use windrose::model::Moment;
use windrose_fuzz::{AT, MINUTES, World};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|message: &[u8]| {
    let Ok(report) = wire::decode(message) else { return };
    assert_eq!(wire::decode(&wire::encode(&report)).as_ref(), Ok(&report), "it does not come back");
    hear(&report);
});

/// Hears it, again, and under another name; then silence. Only a report that says down can turn anything down.
fn hear(report: &Report) {
    let mut keeper = Keeper::new(Arc::clone(&WORLD.plan), None, AT);
    let other = Report { probe: "other".into(), number: report.number.wrapping_add(1), ..report.clone() };
    let says_down =
        report.targets.iter().any(|target| target.opinion == Opinion::Down || target.agent.is_some());
    let mut generation = keeper.first().generation;
    let mut apply = |event: Event, at: Moment| {
        let step = keeper.apply(event, at);
        for fact in &step.facts {
            let text = windrose::keeper::describe(fact, &WORLD.plan);
            assert!(says_down || !text.contains("-> Down"), "{text}");
        }
        if let Some(snapshot) = step.snapshot {
            assert!(snapshot.generation > generation, "an older generation");
            generation = snapshot.generation;
        }
    };
    apply(Event::Report(report.clone()), AT);
    apply(Event::Report(report.clone()), Moment(AT.0 + 1));
    apply(Event::Report(other), Moment(AT.0 + 2));
    for minutes in [0, 1, 10, 1_000_000] {
        apply(Event::Tick, Moment(AT.0 + 2_000 + minutes * MINUTES));
    }
    keeper.probes(AT);
    keeper.state(AT);
}
