//! `windrose probe`: a probe in a region, without a name server.
//!
//! ```text
//!   zones (published, or files) > plan > checks > Report > fleet > servers
//! ```

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tracing::{error, info, warn};

use crate::app::follow::{self, Start};
use crate::app::probing::Probing;
use crate::app::process::{NO_SIGNALS, StopSignals, block_on, failed, host_name};
use crate::app::reload::{self, Outcome, Reloaded, Reloader, Unpacked};
use crate::app::serve::TICK;
use crate::app::service::Service;
use crate::app::{Failure, Ready, fleet, sandbox, site};
use crate::load::Site;
use crate::telemetry::Clock;

pub(super) fn run(config: Option<&Path>) -> Result<(), Failure> {
    let site = site(config)?;
    sandbox::enter(&site)?;
    block_on(probe(site))
}

async fn probe(mut site: Site) -> Result<(), Failure> {
    let hangup = signal(SignalKind::hangup()).map_err(failed(NO_SIGNALS))?;
    let mut stop = StopSignals::listen().map_err(failed(NO_SIGNALS))?;
    // Whoever starts a probe wants it to probe.
    site.machine.probe.enabled = true;
    let name = site.machine.machine.name.clone().unwrap_or_else(host_name);
    let clock = Clock::start();
    let Some(fleet) = fleet::join(&site, &name, clock).await? else {
        return Err(Failure::Failed(NO_FLEET.into()));
    };
    let start = tokio::select! {
        start = follow::start(&mut site, Some(&fleet)) => start?,
        signal = stop.recv() => {
            info!("{signal}: stopping");
            return Ok(());
        }
    };
    let Start { ready: Ready { plan, databases, .. }, version: mut zones, watch, bundles } = start;
    let plan = Arc::new(plan);
    let files = reload::Start { plan: Arc::clone(&plan), databases, watch, hangup, serving: None };
    let (reload, mut reloaded) = Reloader::start(&site, files);
    if let Some(bundles) = bundles {
        tokio::spawn(follow::keep_following(site.clone(), bundles, zones, reload.clone()));
    }
    let mut probing = Probing::start(&site, &name, RandomState::new().hash_one(clock.now()), &plan);
    let (service, mut ticks) = (Service::from_environment(TICK), interval(TICK));
    let doing = format!("probing {} for {name}", plan.inventory.targets.len());
    service.is_ready(&doing);
    info!("{doing}");
    loop {
        tokio::select! {
            Some(mut report) = probing.reports.recv() => {
                report.zones = zones;
                // What cannot be sent now never is: the next one says it all.
                let _ = fleet.publish_report(&report);
            }
            Some(Outcome::Reloaded(reloaded)) = reloaded.recv() => take(*reloaded, &mut site, &mut zones, &probing),
            _ = ticks.tick() => service.is_alive(),
            signal = stop.recv() => {
                service.is_stopping();
                info!("{signal}: stopping");
                return Ok(());
            }
        }
    }
}

/// Follows what was read; `zones` is the published version that is followed.
fn take(reloaded: Reloaded, site: &mut Site, zones: &mut Option<u64>, probing: &Probing) {
    let Reloaded { plan, said, because, published, .. } = reloaded;
    match plan {
        Some(plan) => {
            if !said.is_empty() {
                warn!("the files have warnings\n{said}");
            }
            if let Some(Unpacked { version, directory }) = published {
                *zones = Some(version);
                site.zones = directory;
                follow::accept(site, version);
            }
            info!("reloaded ({because}) from {}: {}", site.zones.display(), plan.summary());
            probing.follow(&plan);
        }
        None => error!("the files are wrong ({because}): what was checked before goes on\n{said}"),
    }
}

const NO_FLEET: &str = "a probe reports to a fleet: say which one in [fleet] of its configuration, \
                        as `nats = [\"tls://nats-1.example.net:4222\"]`";
