//! What the clock does to keys, told in the log.

use std::time::SystemTime;

use tracing::{info, warn};

use crate::dnssec::{Keyring, Seconds, ZoneKeys};
use crate::load;

/// Looks at keys again and again, and tells what changed since.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Nothing was told before the first look.
    looked: Seconds,
}

impl Turns {
    /// Tells of the zones in which a key began or ceased to do something since the last look; at the first, of all.
    pub(super) fn tell(&mut self, keys: &Keyring) {
        let now = load::seconds(SystemTime::now());
        for (_, zone) in keys.zones().filter(|(_, zone)| zone.turned(self.looked, now)) {
            let (name, who) = (zone.zone(), signers(zone, now));
            if zone.at(now).overdue {
                warn!(
                    "keys of {name}: {who} signs beyond its end, and none follows it; the next start will fail"
                );
            } else {
                info!("keys of {name}: {who} signs");
            }
        }
        self.looked = now;
    }
}

fn signers(zone: &ZoneKeys, now: Seconds) -> String {
    let tags: Vec<String> = zone.at(now).signing_tags().map(|tag| tag.to_string()).collect();
    tags.join(" and ")
}
