//! What is served while it is fuzzed: a zone with everything that a zone can have, once signed and once not, and every
//! policy, in several states of health.

use std::sync::Arc;
use std::time::Duration;

use ring::rand::SystemRandom;
use windrose::dnssec::{KeyFile, Keyring, Policy, ZoneKeys};
use windrose::geo::Facts;
use windrose::health::Control;
use windrose::keeper::{Event, Keeper};
use windrose::model::Moment;
use windrose::plan::{self, Plan};
use windrose::primary::Overlay;
use windrose::snapshot::Snapshot;
use windrose::spec::{self, Source, Sources};

use crate::files::{no_files, refused, told};

/// A plan, and its health at some moments.
pub struct World {
    /// What is served.
    pub plan: Arc<Plan>,
    /// Nothing known; some down; nearly all down.
    pub snapshots: [Snapshot; 3],
}

impl World {
    /// The world of this directory's files.
    pub fn new() -> Self {
        let mut plan = compile(&sources(), &Arc::new(Facts::none())).expect("the world is right");
        plan.sign(keyring());
        let plan = Arc::new(plan);
        let mut keeper = Keeper::new(Arc::clone(&plan), None, AT);
        let healthy = keeper.first();
        let some_down = down(&mut keeper, &["fra"]);
        let all_down = down(&mut keeper, &["iad", "syd", "here"]);
        Self { plan, snapshots: [healthy, some_down, all_down] }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Compiles all that was written, and reads what is said of it as an operator would.
pub fn compile(sources: &Sources, facts: &Arc<Facts>) -> Option<Plan> {
    let (spec, read) = spec::parse(sources, &no_files);
    let (plan, compiled) = plan::compile(&spec, facts, Duration::from_secs(2));
    let found = spec.findings(read, compiled);
    told(&found);
    plan.filter(|_| !refused(&found))
}

/// The same world with what updates made of a zone, if it can be served like that.
pub fn compile_updated(apex: &[u8], overlay: &Overlay) -> Option<Plan> {
    let (mut spec, mut read) = spec::parse(&sources(), &no_files);
    let file = spec.zones.iter_mut().find(|file| file.origin.as_slice() == apex)?;
    overlay.lay(file, &mut read);
    let (plan, compiled) = plan::compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    let found = spec.findings(read, compiled);
    told(&found);
    plan.filter(|_| !refused(&found))
}

fn sources() -> Sources {
    Sources {
        zones: vec![Source::new("example.net.zone", ZONE), Source::new("example.org.zone", ZONE)],
        steering: vec![Source::new("example.net.toml", NAMES), Source::new("example.org.toml", STEERING)],
    }
}

fn down(keeper: &mut Keeper, endpoints: &[&str]) -> Snapshot {
    let mut newest = None;
    for endpoint in endpoints {
        let event = Event::Control { endpoint: (*endpoint).to_owned(), control: Some(Control::ForceDown) };
        newest = keeper.apply(event, AT).snapshot;
    }
    newest.expect("what an operator says is published at once")
}

/// One key for `example.org`.
fn keyring() -> Keyring {
    let file = KeyFile::parse(PUBLIC_KEY, PRIVATE_KEY).expect("a key");
    let key = file.key(&SystemRandom::new()).expect("a pair");
    let [week, hour] = [Duration::from_secs(7 * 24 * 60 * 60), Duration::from_secs(60 * 60)];
    Keyring::new(Policy::of(week, week / 2, hour, hour), vec![ZoneKeys::new(file.zone, vec![Arc::new(key)])])
}

/// The moment at which everything happens: 2026-11-21.
pub const AT: Moment = Moment(1_795_219_200_000);

/// A moment, or a while: so many minutes.
pub const MINUTES: u64 = 60_000;

const ZONE: &str = include_str!("../world/example.org.zone");
const STEERING: &str = include_str!("../world/example.org.toml");
const NAMES: &str = include_str!("../world/example.net.toml");

/// The key of RFC 8080 section 6.1: signatures by Ed25519 are the same each time.
const PUBLIC_KEY: &str = "example.org. IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n";
const PRIVATE_KEY: &str = "Private-key-format: v1.3\nAlgorithm: 15 (ED25519)\n\
                           PrivateKey: ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=\n";
