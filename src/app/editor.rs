//! The zones that others take or change: their editions and journals, kept by whoever reads the files.
//!
//! ```text
//!   start:   journals --> overlays, last serials
//!   reload:  files + overlays --> plan --edit--> editions, journals      (also once a second, if verdicts turned, with "live",
//!                                                                         or signatures are to be taken anew)
//!   update:  plan, what is asked --> another overlay --> as a reload, and the journal is on the disk before it is answered
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tracing::warn;

use crate::dns::primary::UpdateCall;
use crate::dnssec::{Keyring, Seconds};
use crate::health::HealthMap;
use crate::load::{Journal, Journals, Overlays, Site};
use crate::model::Name;
use crate::plan::Plan;
use crate::primary::update::{Difference, Refusal, work_out};
use crate::primary::{Content, Edition, Editions, Overlay, Steered, of_zone};
use crate::spec::machine::SteeredChoice;

/// Keeps the editions of zones.
#[derive(Clone)]
pub(super) struct Editor {
    /// Somebody takes zones or changes them: else there are no editions.
    wanted: bool,
    steered: SteeredChoice,
    history_max: usize,
    journals: Journals,
    zones: BTreeMap<Box<[u8]>, Zone>,
    /// When the editions were made.
    edited: Seconds,
}

/// What is known of a zone.
#[derive(Clone, Default)]
struct Zone {
    overlay: Overlay,
    /// What its journal said at the start, until there is an edition.
    last: Option<Arc<Journal>>,
    edition: Option<Arc<Edition>>,
    /// What its journal says.
    kept: Option<(Option<u32>, Overlay)>,
}

impl Editor {
    /// One that has nothing to do.
    pub(super) fn idle(site: &Site) -> Self {
        let (steered, zones) = (SteeredChoice::Static, BTreeMap::new());
        Self {
            wanted: false,
            steered,
            history_max: 0,
            journals: Journals::of(site),
            zones,
            edited: Seconds(0),
        }
    }

    /// Starts from the journals of a site.
    pub(super) fn start(site: &Site) -> Self {
        let machine = &site.machine;
        let journals = Journals::of(site);
        let (read, unreadable) = journals.read();
        for error in unreadable {
            let aside = error.set_aside.map_or("left where it is".into(), |path| path.display().to_string());
            warn!(
                "a journal cannot be read, what updates made of its zone is lost: {} ({aside})",
                error.reason
            );
        }
        let zones = read.into_iter().map(|(apex, journal)| {
            let overlay = journal.overlay.clone();
            let kept = Some((journal.serial, overlay.clone()));
            (apex, Zone { overlay, kept, edition: None, last: Some(Arc::new(journal)) })
        });
        let transfer = &machine.transfer;
        Self {
            wanted: !transfer.allow.is_empty()
                || !transfer.notify.is_empty()
                || !machine.update.allow.is_empty(),
            steered: transfer.steered,
            history_max: transfer.history,
            zones: zones.collect(),
            journals,
            edited: Seconds(0),
        }
    }

    /// What updates made of the zones.
    pub(super) fn overlays(&self) -> Overlays {
        self.zones.iter().map(|(apex, zone)| (apex.clone(), zone.overlay.clone())).collect()
    }

    /// Whether editions change with verdicts.
    pub(super) fn is_live(&self) -> bool {
        self.wanted && self.steered == SteeredChoice::Live
    }

    /// Whether others should take zones anew for their signatures.
    pub(super) fn is_overdue(&self, plan: &Plan, now: Seconds) -> bool {
        let Keyring { policy, .. } = &plan.keys;
        self.wanted && plan.keys.zones().any(|(_, keys)| keys.renewed(policy, self.edited, now))
    }

    /// What an update changes of a plan that is served; `None`: the zone is not one of ours.
    pub(super) fn work_out(&self, plan: &Plan, call: &UpdateCall) -> Option<Result<Difference, Refusal>> {
        let apex = plan.zones.exact(&call.apex).filter(|node| node.is_apex())?;
        let may = |name: &[u8], rtype: u16| {
            call.grants.iter().any(|grant| {
                grant.names.iter().any(|names| names.fits(name))
                    && grant.types.as_ref().is_none_or(|types| types.contains(&rtype))
            })
        };
        let difference = work_out(plan, apex, &call.update, &may);
        let held = self.zones.get(&*call.apex).map_or(0, |zone| zone.overlay.added.len());
        Some(difference.and_then(|difference| {
            if held + difference.added.len() > ADDED_MAX {
                return Err(Refusal::NotAllowed("updates have added as many records as they may"));
            }
            Ok(difference)
        }))
    }

    /// Notes what an update changes; it is served with the next reading.
    pub(super) fn change(&mut self, apex: &[u8], difference: &Difference) {
        let zone = self.zones.entry(apex.into()).or_default();
        zone.overlay = zone.overlay.after(&difference.removed, &difference.added);
    }

    /// The editions of a plan that was read with what updates made of its zones, of which this is left; journals are
    /// written. Blocks for as long as the disk does. With `health`, the map of the same plan, steered names have the members
    /// that are up; without, where they should, editions stay as they are.
    ///
    /// # Errors
    /// The first journal that could not be written: the editions are there all the same.
    pub(super) fn edit(
        &mut self,
        plan: &Plan,
        health: Option<&HealthMap>,
        left: Option<Overlays>,
        now: Seconds,
    ) -> (Arc<Editions>, io::Result<()>) {
        for (apex, overlay) in left.into_iter().flatten() {
            self.zones.entry(apex).or_default().overlay = overlay;
        }
        let steered = match (self.steered, health) {
            (SteeredChoice::Static, _) => Some(Steered::Static),
            (SteeredChoice::Live, Some(health)) => Some(Steered::Live(health)),
            (SteeredChoice::Live, None) => None,
        };
        if steered.is_some() {
            self.edited = now;
        }
        let mut editions = Vec::new();
        let mut written = Ok(());
        for (apex, names) in plan.zones.by_zone().filter(|_| self.wanted) {
            let zone = self.zones.entry(apex.owner().into()).or_default();
            if let Some(steered) = steered
                && let Some(content) = of_zone(plan, apex, &names, steered, now)
            {
                zone.follow(content, self.history_max);
            }
            editions.extend(zone.edition.clone().map(|edition| (apex.owner().into(), edition)));
        }
        for (apex, zone) in &mut self.zones {
            let Ok(name) = Name::from_octets(apex.to_vec()) else { continue };
            if let Err(error) = zone.keep(&name, &self.journals) {
                warn!("the journal of {name} cannot be written: {error}");
                written = written.and(Err(error));
            }
        }
        (Arc::new(editions.into_iter().collect()), written)
    }
}

impl Zone {
    fn follow(&mut self, content: Content, history_max: usize) {
        let next = match (&self.edition, self.last.take()) {
            (Some(edition), _) => edition.next(content, history_max),
            (None, Some(last)) => Some(resumed(&last, content, history_max)),
            (None, None) => Some(Edition::first(content, None)),
        };
        if let Some(edition) = next {
            self.edition = Some(Arc::new(edition));
        }
    }

    /// Writes the journal, if it is not what it should be. What a restart would come to without one needs none.
    fn keep(&mut self, name: &Name, journals: &Journals) -> io::Result<()> {
        let edition = self.edition.as_deref();
        let serial = edition.map(Edition::serial).or(self.last.as_ref().and_then(|last| last.serial));
        let plain = edition.is_none_or(|edition| edition.history.is_empty()) && self.overlay.is_empty();
        let kept = match &self.kept {
            Some((kept_serial, overlay)) => *kept_serial == serial && *overlay == self.overlay,
            None => plain,
        };
        if kept {
            return Ok(());
        }
        let overlay = self.overlay.clone();
        let journal = match &self.last {
            // Nobody takes the zone just now: what was known of it stays.
            Some(last) if edition.is_none() => Journal { overlay, ..(**last).clone() },
            _ => Journal::new(name, overlay, edition),
        };
        journals.write(name, &journal)?;
        self.kept = Some((serial, journal.overlay));
        Ok(())
    }
}

/// The edition after a restart: the same one, if the zone holds the same.
fn resumed(last: &Journal, content: Content, history_max: usize) -> Edition {
    let Some(serial) = last.serial else { return Edition::first(content, None) };
    if content.fingerprint().value() != last.of {
        return Edition::first(content, Some(serial));
    }
    let same = Edition {
        soa: content.soa.with_serial(serial),
        records: Arc::new(content.records.clone()),
        history: last.history.iter().cloned().collect(),
        signed: content.signed,
    };
    same.next(content, history_max).unwrap_or(same)
}

/// Records that updates may have added to a zone, so that a journal is no database.
const ADDED_MAX: usize = 100_000;
