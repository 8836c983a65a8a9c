//! This machine's own probe: what it checks, and that it goes on.
//!
//! ```text
//!   Plan --assignments--> probe::run --Report--> whoever holds this
//!                           ^ ^  `-- ends by a fault? it starts again
//!   applications --beats------'
//! ```
//!
//! Where it is not wanted (`[probe] enabled = false`) there is none: nothing is reported, and nobody takes this machine
//! for a probe.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{error, warn};

use crate::app::beating::Feeding;
use crate::control::{Beat, Refused};
use crate::health::{Guard, Opinion, Report, TargetReport};
use crate::load::Site;
use crate::model::{Inventory, Target};
use crate::plan::Plan;
use crate::probe::{self, Assignment, Counts, Stats};

/// A probe at work, if this machine has one. Dropping this ends it.
pub(super) struct Probing {
    /// What it says: without one, the end at once.
    pub(super) reports: mpsc::Receiver<Report>,
    feeding: Feeding,
    stats: Arc<Stats>,
    assignments: watch::Sender<Arc<[Assignment]>>,
}

impl Probing {
    /// Starts to check what a plan asks for. `instance` tells this process from another under the same name.
    pub(super) fn start(site: &Site, name: &str, instance: u64, plan: &Plan) -> Self {
        let settings = &site.machine.probe;
        let stats = Arc::new(Stats::default());
        let feeding = Feeding::start(site, plan);
        let config = probe::Config {
            name: name.into(),
            region: region(site, plan).into(),
            instance,
            report_interval: settings.report_interval,
            concurrency: settings.concurrency,
            guard: guard(site),
            references: settings.references.clone(),
            beats: feeding.beats(),
            stats: Arc::clone(&stats),
        };
        let (assignments, assigned) = watch::channel(assignments(plan));
        let (sender, reports) = mpsc::channel(REPORTS_WAITING);
        if settings.enabled {
            tokio::spawn(keep_probing(config, assigned, sender));
        }
        Self { reports, feeding, stats, assignments }
    }

    /// Checks what another plan asks for, from now on.
    pub(super) fn follow(&self, plan: &Plan) {
        self.feeding.follow(plan);
        self.assignments.send_replace(assignments(plan));
    }

    /// An application lives; says what heard it.
    pub(super) fn feed(&self, beat: &Beat) -> Result<String, Refused> {
        self.feeding.feed(beat)
    }

    /// How many of its checks said nothing.
    pub(super) fn void(&self) -> Counts {
        self.stats.counts()
    }
}

/// Whether a probe has an opinion of everything that it checks. Beats come when they come: nobody waits for the first.
pub(super) fn settled(report: &Report, inventory: &Inventory) -> bool {
    let awaits_beats = |target: &TargetReport| {
        let monitor = inventory.monitors.iter().find(|monitor| *monitor.name == *target.monitor);
        monitor.is_some_and(|monitor| monitor.ask.within().is_some())
    };
    report.targets.iter().all(|target| target.opinion != Opinion::Unknown || awaits_beats(target))
}

/// What this machine's probe may connect to.
pub(super) fn guard(site: &Site) -> Guard {
    Guard::new(site.machine.probe.deny.clone())
}

/// Everything that a plan wants to have checked.
pub(super) fn assignments(plan: &Plan) -> Arc<[Assignment]> {
    let monitors: Vec<_> = plan.inventory.monitors.iter().cloned().map(Arc::new).collect();
    let assignment = |target: &Target| Assignment {
        monitor: Arc::clone(&monitors[target.monitor.index()]),
        address: target.address,
    };
    plan.inventory.targets.iter().map(assignment).collect()
}

/// Where this machine stands, by name.
fn region<'s>(site: &'s Site, plan: &'s Plan) -> &'s str {
    let own = site.machine.machine.region.as_deref();
    if let Some(region) = own.filter(|region| plan.inventory.region(region).is_none()) {
        warn!(
            "[machine] region = \"{region}\": no such region; this probe's votes count for the default region"
        );
    }
    own.unwrap_or(&plan.inventory.regions[plan.inventory.default_region().index()].name)
}

/// A probe that ends by a fault starts again: meanwhile its votes go stale, which is no failure.
async fn keep_probing(
    config: probe::Config,
    assignments: watch::Receiver<Arc<[Assignment]>>,
    reports: mpsc::Sender<Report>,
) {
    loop {
        let run = probe::run(config.clone(), assignments.clone(), reports.clone());
        let ended = tokio::spawn(run).await;
        if reports.is_closed() || assignments.has_changed().is_err() {
            return;
        }
        error!("the probe ended ({ended:?}); it starts again");
        tokio::time::sleep(PROBE_PAUSE).await;
    }
}

/// Reports that wait for the keeper; the next one says it all anyway.
const REPORTS_WAITING: usize = 4;

/// A probe that ended starts again after this.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::geo::Facts;
    use crate::load;

    #[tokio::test]
    async fn a_machine_that_is_not_to_probe_reports_nothing() {
        for enabled in [true, false] {
            let directory = tempfile::tempdir().expect("a directory");
            let config = directory.path().join("windrose.toml");
            let written = format!("[probe]\nenabled = {enabled}\nreport_interval = \"100ms\"\n");
            fs::write(&config, written).expect("written");
            let zones = directory.path().join("zones");
            fs::create_dir(&zones).expect("made");
            fs::write(zones.join("regions.toml"), "[regions.eu]\ndefault = true\n").expect("written");
            fs::write(zones.join("example.org.zone"), ZONE).expect("written");
            let (site, _) = load::machine(Some(&config)).expect("it is right");
            let plan =
                load::zones(&zones, &Arc::new(Facts::none()), Duration::from_secs(2), &load::Overlays::new())
                    .plan;
            let mut probing = Probing::start(&site, "ns1", 1, &plan.expect("it is right"));
            assert_eq!(probing.reports.recv().await.is_some(), enabled);
        }
    }

    const ZONE: &str = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
}
