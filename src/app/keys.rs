//! `windrose keys`: makes keys, shows what they do, and moves the times by which one follows another. What is done is all
//! in the files: a running server notices, and time does the rest.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use ring::rand::SystemRandom;
use serde_json::{Value, json};

use crate::app::print::{print, print_line};
use crate::app::process::failed;
use crate::app::{Failure, any_error, print_diagnostics, site};
use crate::cli::{KeyAlgorithm, KeyOfZone, KeyRole, Keys, Output};
use crate::dnssec::{Algorithm, Key, KeyFile, Policy, Role, Seconds, State, Timing, Waits};
use crate::geo::Facts;
use crate::load::{self, KeyDirectory, Site};
use crate::model::Name;

pub(super) fn run(command: Keys) -> Result<(), Failure> {
    match command {
        Keys::Generate { zone, role, algorithm, config } => {
            Zone::open(&zone, config.path.as_deref())?.generate(role, algorithm)
        }
        Keys::List { zone, config, format } => list(zone.as_deref(), config.path.as_deref(), format.format),
        Keys::Ds { zone, config } => Zone::open(&zone, config.path.as_deref())?.print_ds(),
        Keys::Roll { key: KeyOfZone { zone, tag, config }, algorithm } => {
            Zone::open(&zone, config.path.as_deref())?.roll(tag, algorithm)
        }
        Keys::DsSeen { key: KeyOfZone { zone, tag, config }, ds_ttl } => {
            Zone::open(&zone, config.path.as_deref())?.ds_seen(tag, ds_ttl.as_secs())
        }
    }
}

/// The keys of a zone, as their files have them at one moment.
struct Zone {
    name: Name,
    keys: Vec<KeyFile>,
    directory: KeyDirectory,
    /// Whether the configuration has it among those that are signed.
    is_declared: bool,
    waits: Waits,
    now: Seconds,
}

impl Zone {
    fn open(zone: &str, config: Option<&Path>) -> Result<Self, Failure> {
        let name: Name = zone.parse().map_err(|error| Failure::Failed(format!("`{zone}`: {error}")))?;
        Self::of(&site(config)?, name)
    }

    fn of(site: &Site, name: Name) -> Result<Self, Failure> {
        let directory = KeyDirectory::of(site);
        let (found, wrong) = directory.read(&name);
        print_diagnostics(&wrong);
        if any_error(&wrong) {
            return Err(Failure::WrongInput);
        }
        let dnssec = &site.machine.dnssec;
        let policy = Policy::of(dnssec.validity, dnssec.refresh, dnssec.skew, dnssec.key_ttl);
        Ok(Self {
            waits: Waits::new(&policy, ttl_max(site, &name)),
            keys: found.into_iter().map(|key| key.file).collect(),
            is_declared: dnssec.zones.contains(&name),
            now: load::seconds(SystemTime::now()),
            directory,
            name,
        })
    }

    fn generate(self, role: KeyRole, algorithm: KeyAlgorithm) -> Result<(), Failure> {
        let of_role = self.keys.iter().find(|key| key.record.role == record_role(role) && !self.is_gone(key));
        if let Some(key) = of_role {
            let (zone, tag) = (&self.name, key.record.tag());
            let message =
                format!("`{zone}` has such a key: `windrose keys roll {zone} {tag}` lets one follow it");
            return Err(Failure::Failed(message));
        }
        let role = record_role(role);
        let is_signed = self.keys.iter().any(|key| key.timing.is_active(self.now));
        let timing = self.waits.first(role, is_signed, self.now);
        let key = self.make(record_algorithm(algorithm), role, timing)?;
        let zone = &self.name;
        let mut said = format!("{}\n", self.directory.path().join(key.name()).display());
        if !self.is_declared {
            said += &format!("to sign the zone: zones = [\"{zone}\"] in [dnssec] of the configuration\n");
        }
        if let Some(at) = key.timing.sync_publish {
            said += &format!(
                "to have it validated: `windrose keys ds {zone}` to the parent, not before {at} UTC\n"
            );
        }
        print(said).map(drop)
    }

    fn roll(self, tag: u16, algorithm: Option<KeyAlgorithm>) -> Result<(), Failure> {
        let mut old = self.key(tag)?;
        if !old.timing.is_active(self.now) {
            return Err(Failure::Failed(format!("key {tag} does not sign: nothing has to follow it")));
        }
        if is_followed(&old) || self.follower(&old).is_some() {
            return Err(Failure::Failed(format!(
                "key {tag} is being rolled already: see `windrose keys list`"
            )));
        }
        let algorithm = algorithm.map_or(old.record.algorithm, record_algorithm);
        if algorithm != old.record.algorithm {
            let message = "another algorithm has to sign before it is shown, and both roles at once: see docs/DNSSEC.md";
            return Err(Failure::Failed(message.into()));
        }
        let role = old.record.role;
        let signs_data = self.keys.iter().all(|key| key.record.role == Role::KeySigning || self.is_gone(key));
        let timing = self.waits.successor(&mut old.timing, role, signs_data, self.now);
        let new = self.make(algorithm, role, timing)?;
        self.directory.write(&old).map_err(failed("cannot write the key"))?;
        let (zone, path) = (&self.name, self.directory.path().join(new.name()));
        let next = match (new.timing.sync_publish, new.timing.activate.unwrap_or_default()) {
            (Some(at), _) => format!(
                "from {at} UTC on the parent can take its DS (`windrose keys ds {zone}`); then: windrose keys ds-seen {zone} {tag}"
            ),
            (None, at) => format!("it signs from {at} UTC on; nothing else is to be done"),
        };
        print_line(format_args!("{}\n{next}", path.display())).map(drop)
    }

    fn ds_seen(self, tag: u16, ds_ttl: u64) -> Result<(), Failure> {
        let mut old = self.key(tag)?;
        let Some(new) = self.follower(&old) else {
            let message =
                format!("no key has followed {tag}: `windrose keys roll {} {tag}` makes one", self.name);
            return Err(Failure::Failed(message));
        };
        if new.timing.sync_publish.is_some_and(|at| self.now < at) {
            let at = new.timing.sync_publish.unwrap_or_default();
            let message =
                format!("not every resolver knows the new key before {at} UTC: the parent must wait");
            return Err(Failure::Failed(message));
        }
        self.waits.ds_seen(&mut old.timing, ds_ttl, self.now);
        self.directory.write(&old).map_err(failed("cannot write the key"))?;
        let (inactive, delete) =
            (old.timing.inactive.unwrap_or_default(), old.timing.delete.unwrap_or_default());
        print_line(format_args!("key {tag} signs until {inactive} UTC, and is shown until {delete} UTC"))
            .map(drop)
    }

    /// The keys whose DS the parent is to have; with those to come as comments.
    fn print_ds(self) -> Result<(), Failure> {
        let zone = &self.name;
        let mut said = String::new();
        for key in self.keys.iter().filter(|key| key.record.role == Role::KeySigning) {
            let Timing { sync_publish, sync_delete, .. } = key.timing;
            let is_leaving = sync_delete.is_some_and(|at| at <= self.now) || key.timing.ceases().is_some();
            if is_leaving || !key.timing.is_published(self.now) {
                continue;
            }
            let rdata = key.record.ds(zone);
            let digest: String = rdata[4..].iter().map(|octet| format!("{octet:02X}")).collect();
            let (tag, algorithm) = (key.record.tag(), key.record.algorithm.number());
            let early = sync_publish.filter(|at| self.now < *at);
            let early = early.map_or(String::new(), |at| format!(" ; not before {at} UTC"));
            let owner = zone.fmt_with_dot();
            said += &format!("{owner} IN DS {tag} {algorithm} 2 {digest}{early}\n");
        }
        if said.is_empty() {
            let message =
                format!("`{zone}` has no key that the parent could know: windrose keys generate {zone}");
            return Err(Failure::Failed(message));
        }
        print(said).map(drop)
    }

    fn make(&self, algorithm: Algorithm, role: Role, timing: Timing) -> Result<KeyFile, Failure> {
        let rng = SystemRandom::new();
        loop {
            let generated = Key::generate(algorithm, role, &rng);
            let (record, private) =
                generated.ok_or_else(|| Failure::Failed("the system has no random numbers".into()))?;
            // Two keys of one tag would make every validator try both; one in 65,536 is thrown away.
            if self.keys.iter().all(|key| key.record.tag() != record.tag()) {
                let key = KeyFile::new(self.name.clone(), record, private, timing);
                self.directory.write(&key).map_err(failed("cannot write the key"))?;
                return Ok(key);
            }
        }
    }

    fn key(&self, tag: u16) -> Result<KeyFile, Failure> {
        let key = self.keys.iter().find(|key| key.record.tag() == tag).cloned();
        key.ok_or_else(|| Failure::Failed(format!("`{}` has no key {tag}", self.name)))
    }

    /// The key that came after another in its role, and has not been followed itself.
    fn follower(&self, old: &KeyFile) -> Option<&KeyFile> {
        let later = |key: &&KeyFile| {
            key.record.role == old.record.role
                && key.record != old.record
                && key.timing.publish >= old.timing.publish
                && !is_followed(key)
        };
        self.keys.iter().filter(later).max_by_key(|key| key.timing.publish)
    }

    fn is_gone(&self, key: &KeyFile) -> bool {
        matches!(self.state(key), State::Removed)
    }

    fn state(&self, key: &KeyFile) -> State {
        key.timing.state(self.now, self.waits.publication, self.waits.retirement)
    }

    /// KSK, ZSK, or CSK where there is no ZSK.
    fn role_word(&self, key: &KeyFile) -> &'static str {
        let alone = self.keys.iter().all(|key| key.record.role == Role::KeySigning || self.is_gone(key));
        if alone && key.record.role == Role::KeySigning { "CSK" } else { key.record.role.word() }
    }
}

/// Whether the times of a key say that another follows it.
fn is_followed(key: &KeyFile) -> bool {
    key.timing.ceases().is_some() || key.timing.sync_delete.is_some()
}

fn list(zone: Option<&str>, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    let zones = match zone {
        Some(zone) => vec![Zone::open(zone, config)?],
        None => {
            let site = site(config)?;
            let declared = site.machine.dnssec.zones.clone();
            declared.into_iter().map(|name| Zone::of(&site, name)).collect::<Result<_, _>>()?
        }
    };
    let rows = zones.iter().flat_map(|zone| zone.keys.iter().map(move |key| (zone, key)));
    let said = match output {
        Output::Json => {
            let rows: Vec<Value> = rows.map(|(zone, key)| as_json(zone, key)).collect();
            format!("{:#}\n", Value::from(rows))
        }
        Output::Text => {
            let head = row(["zone", "tag", "role", "algorithm", "state", "next"]);
            rows.fold(head, |said, (zone, key)| said + &as_text(zone, key))
        }
    };
    print(said).map(drop)
}

fn as_text(zone: &Zone, key: &KeyFile) -> String {
    let next = key.next(zone.now).map_or(String::new(), |(word, at)| format!("{word} {at} UTC"));
    let (name, tag) = (zone.name.to_string(), key.record.tag().to_string());
    let algorithm = key.record.algorithm.mnemonic();
    row([&name, &tag, zone.role_word(key), algorithm, zone.state(key).word(), &next])
}

fn row([zone, tag, role, algorithm, state, next]: [&str; 6]) -> String {
    let row = format!("{zone:24} {tag:>5}  {role:4}  {algorithm:15}  {state:9}  {next}");
    row.trim_end().to_owned() + "\n"
}

fn as_json(zone: &Zone, key: &KeyFile) -> Value {
    let times: serde_json::Map<String, Value> =
        key.times().map(|(word, at)| (word.to_owned(), at.to_string().into())).collect();
    json!({
        "zone": zone.name.to_string(),
        "tag": key.record.tag(),
        "role": zone.role_word(key),
        "algorithm": key.record.algorithm.mnemonic(),
        "state": zone.state(key).word(),
        "in_dnskey": key.timing.is_published(zone.now),
        "in_cds": key.timing.is_synced(zone.now),
        "times": times,
    })
}

/// The longest TTL of a zone; if it is not there or wrong, what is usual at most.
fn ttl_max(site: &Site, zone: &Name) -> u32 {
    let loaded = load::zones(
        &site.zones,
        &Arc::new(Facts::none()),
        site.machine.probe.report_interval,
        &load::overlays(site),
    );
    let plan = loaded.plan.as_ref();
    let apex = plan.and_then(|plan| plan.zones.exact(zone.as_slice()).map(|node| plan.zones.ttl_max(node)));
    apex.unwrap_or(TTL_USUAL_MAX)
}

fn record_role(role: KeyRole) -> Role {
    match role {
        KeyRole::Csk | KeyRole::Ksk => Role::KeySigning,
        KeyRole::Zsk => Role::ZoneSigning,
    }
}

fn record_algorithm(algorithm: KeyAlgorithm) -> Algorithm {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => Algorithm::EcdsaP256,
        KeyAlgorithm::Ed25519 => Algorithm::Ed25519,
    }
}

/// A day.
const TTL_USUAL_MAX: u32 = 24 * 60 * 60;
