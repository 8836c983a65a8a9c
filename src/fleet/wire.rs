//! A report as bytes, version 1: compact, and such that old and new releases understand each other.
//!
//! ```text
//! message  "WR"  version  part...                part    tag, length, value
//! parts    probe region number instance sent interval monitors targets zones
//! monitors each name with its length; targets name them by their place here
//! targets  each with its length:
//!          flags  monitor  address  [kind]  [rtt]  age  [certificate]  [agent]  whatever a newer release adds
//! ```
//!
//! A release that adds a fact adds a part, or a field at the end of a target: an older one skips both, and a newer
//! one takes a default for what is missing. Only a change that this cannot express makes a new version, which
//! older releases refuse by its number.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::bytes::{Reader, put_number, put_number_part, put_part, put_sized};
use crate::health::{Agent, Kind, Opinion, Report, TargetReport};
use crate::model::Moment;

/// A report as bytes. In the steady state a target takes at most 32 of them.
pub fn encode(report: &Report) -> Vec<u8> {
    let mut monitors = Monitors::default();
    let mut targets = Vec::with_capacity(report.targets.len() * TARGET_BYTES_USUAL);
    let mut target = Vec::with_capacity(TARGET_BYTES_USUAL);
    for held in &report.targets {
        target.clear();
        put_target(&mut target, held, monitors.place(&held.monitor), report.sent);
        put_sized(&mut targets, &target);
    }
    let mut message = Vec::with_capacity(targets.len() + monitors.written.len() + HEAD_BYTES_USUAL);
    message.extend_from_slice(&MAGIC);
    message.push(VERSION);
    put_part(&mut message, PROBE, report.probe.as_bytes());
    put_part(&mut message, REGION, report.region.as_bytes());
    put_number_part(&mut message, NUMBER, report.number);
    put_number_part(&mut message, INSTANCE, report.instance);
    put_number_part(&mut message, SENT, report.sent.0);
    put_number_part(&mut message, INTERVAL, report.interval_ms.into());
    if let Some(zones) = report.zones {
        put_number_part(&mut message, ZONES, zones);
    }
    put_part(&mut message, MONITORS, &monitors.written);
    put_part(&mut message, TARGETS, &targets);
    message
}

/// The report that a message holds.
///
/// Takes memory in proportion to the message, whatever it claims to hold.
///
/// # Errors
/// Whatever is not a report of this version: see [`Unreadable`].
pub fn decode(message: &[u8]) -> Result<Report, Unreadable> {
    if message.len() > MESSAGE_MAX {
        return Err(Unreadable::TooLarge(message.len()));
    }
    let mut reader = Reader(message);
    if reader.array() != Some(MAGIC) {
        return Err(Unreadable::Garbage("it does not start as a report"));
    }
    match reader.byte() {
        Some(VERSION) => Parts::read(reader)?.report(),
        Some(other) => Err(Unreadable::Version(other)),
        None => Err(Unreadable::Garbage("it ends before its version")),
    }
}

/// Why a message is not a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is of another version than [`VERSION`].
    Version(u8),
    /// It has this many bytes, over [`MESSAGE_MAX`]; nothing of it was read.
    TooLarge(usize),
    /// It is damaged, or something else.
    Garbage(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Version(version) => write!(
                f,
                "it is of version {version}, and this release reads version {VERSION}: run the same release on all machines"
            ),
            Unreadable::TooLarge(bytes) => {
                write!(f, "it has {bytes} bytes, over the {MESSAGE_MAX} that are read")
            }
            Unreadable::Garbage(why) => write!(f, "it is no report: {why}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The names of monitors, each once, in the order of their first use.
#[derive(Default)]
struct Monitors<'r> {
    places: HashMap<&'r str, u64>,
    written: Vec<u8>,
}

impl<'r> Monitors<'r> {
    fn place(&mut self, name: &'r str) -> u64 {
        let next = self.places.len() as u64;
        *self.places.entry(name).or_insert_with(|| {
            put_sized(&mut self.written, name.as_bytes());
            next
        })
    }
}

/// Appends what is held of one target, without its length.
fn put_target(out: &mut Vec<u8>, held: &TargetReport, monitor: u64, sent: Moment) {
    let kind_follows = held.last != Some(Kind::Ok);
    let opinion = match held.opinion {
        Opinion::Unknown => 0,
        Opinion::Up => OPINION_UP,
        Opinion::Down => OPINION_DOWN,
    };
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        opinion
            | flag(held.moving, MOVING)
            | flag(held.address.is_ipv6(), IPV6)
            | flag(kind_follows, KIND_FOLLOWS)
            | flag(held.rtt_us.is_some(), RTT_FOLLOWS)
            | flag(held.certificate_end.is_some(), CERTIFICATE_FOLLOWS)
            | flag(held.agent.is_some(), AGENT_FOLLOWS),
    );
    put_number(out, monitor);
    match held.address {
        IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
    if kind_follows {
        out.push(held.last.map_or(NO_KIND, kind_number));
    }
    if let Some(rtt) = held.rtt_us {
        put_number(out, rtt.into());
    }
    put_number(out, held.age_ms);
    if let Some(end) = held.certificate_end {
        put_number(out, zigzag(end.wrapping_sub(seconds(sent))));
    }
    if let Some(agent) = held.agent {
        out.push(agent_number(agent));
    }
}

/// The parts of a message that this release knows, as they lie in it.
#[derive(Default)]
struct Parts<'m> {
    known: [Option<&'m [u8]>; ZONES as usize + 1],
}

impl<'m> Parts<'m> {
    fn read(mut reader: Reader<'m>) -> Result<Self, Unreadable> {
        let mut parts = Parts::default();
        while !reader.is_empty() {
            let (tag, value) = reader.part().ok_or(Unreadable::Garbage("it ends within a part"))?;
            let slot = usize::try_from(tag).ok().and_then(|tag| parts.known.get_mut(tag));
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return Err(Unreadable::Garbage("a part comes twice"));
            }
        }
        Ok(parts)
    }

    /// Who it is from, its number and its targets must be there: without them it says nothing.
    fn report(&self) -> Result<Report, Unreadable> {
        let sent = Moment(self.number(SENT)?.unwrap_or(0));
        let interval_ms = self.number(INTERVAL)?.unwrap_or(INTERVAL_MS_DEFAULT);
        let targets = self.value(TARGETS).ok_or(Unreadable::Garbage("it has no targets"))?;
        Ok(Report {
            probe: self.name(PROBE).ok_or(Unreadable::Garbage("it names no probe"))?,
            region: self.name(REGION).ok_or(Unreadable::Garbage("it names no region"))?,
            number: self.number(NUMBER)?.ok_or(Unreadable::Garbage("it has no number"))?,
            instance: self.number(INSTANCE)?.unwrap_or(0),
            sent,
            interval_ms: u32::try_from(interval_ms)
                .map_err(|_| Unreadable::Garbage("its interval is no interval"))?,
            zones: self.number(ZONES)?,
            targets: read_targets(Reader(targets), &self.monitors()?, sent)?,
        })
    }

    fn value(&self, tag: u64) -> Option<&'m [u8]> {
        self.known[tag as usize]
    }

    fn number(&self, tag: u64) -> Result<Option<u64>, Unreadable> {
        let Some(value) = self.value(tag) else { return Ok(None) };
        let mut reader = Reader(value);
        match (reader.number(), reader.is_empty()) {
            (Some(number), true) => Ok(Some(number)),
            _ => Err(Unreadable::Garbage("a number is damaged")),
        }
    }

    fn name(&self, tag: u64) -> Option<Arc<str>> {
        read_name(self.value(tag)?)
    }

    fn monitors(&self) -> Result<Vec<Arc<str>>, Unreadable> {
        let mut reader = Reader(self.value(MONITORS).unwrap_or_default());
        let mut monitors = Vec::new();
        while !reader.is_empty() {
            let name = reader.sized().and_then(read_name);
            monitors.push(name.ok_or(Unreadable::Garbage("a monitor's name is damaged"))?);
            if monitors.len() > MONITORS_MAX {
                return Err(Unreadable::Garbage("it has too many monitors"));
            }
        }
        Ok(monitors)
    }
}

fn read_name(bytes: &[u8]) -> Option<Arc<str>> {
    let name = std::str::from_utf8(bytes).ok()?;
    (1..=NAME_MAX).contains(&name.len()).then(|| name.into())
}

fn read_targets(
    mut reader: Reader<'_>,
    monitors: &[Arc<str>],
    sent: Moment,
) -> Result<Vec<TargetReport>, Unreadable> {
    let mut targets = Vec::with_capacity(reader.0.len() / TARGET_BYTES_USUAL);
    while !reader.is_empty() {
        let target = reader.sized().and_then(|target| read_target(Reader(target), monitors, sent));
        targets.push(target.ok_or(Unreadable::Garbage("a target is damaged"))?);
        if targets.len() > TARGETS_MAX {
            return Err(Unreadable::Garbage("it has too many targets"));
        }
    }
    Ok(targets)
}

/// One target; what is left over after it was added by a newer release.
fn read_target(mut reader: Reader<'_>, monitors: &[Arc<str>], sent: Moment) -> Option<TargetReport> {
    let flags = reader.byte()?;
    let set = |flag: u8| flags & flag != 0;
    let monitor = usize::try_from(reader.number()?).ok()?;
    Some(TargetReport {
        monitor: monitors.get(monitor)?.clone(),
        address: match set(IPV6) {
            false => IpAddr::from(reader.array::<4>()?),
            true => IpAddr::from(reader.array::<16>()?),
        },
        opinion: match flags & OPINION {
            OPINION_UP => Opinion::Up,
            OPINION_DOWN => Opinion::Down,
            _ => Opinion::Unknown,
        },
        moving: set(MOVING),
        last: if set(KIND_FOLLOWS) { kind_numbered(reader.byte()?) } else { Some(Kind::Ok) },
        rtt_us: if set(RTT_FOLLOWS) { Some(u32::try_from(reader.number()?).ok()?) } else { None },
        age_ms: reader.number()?,
        certificate_end: match set(CERTIFICATE_FOLLOWS) {
            false => None,
            true => Some(seconds(sent).wrapping_add(unzigzag(reader.number()?))),
        },
        agent: if set(AGENT_FOLLOWS) { agent_numbered(reader.byte()?) } else { None },
    })
}

/// A number once given to a kind is never given to another.
fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Ok => 1,
        Kind::Refused => 2,
        Kind::Timeout => 3,
        Kind::Reset => 4,
        Kind::Unreachable => 5,
        Kind::Dns => 6,
        Kind::Tls => 7,
        Kind::Status => 8,
        Kind::Body => 9,
        Kind::Other => 10,
    }
}

/// A kind that this release does not know is [`Kind::Other`].
fn kind_numbered(number: u8) -> Option<Kind> {
    match number {
        NO_KIND => None,
        1 => Some(Kind::Ok),
        2 => Some(Kind::Refused),
        3 => Some(Kind::Timeout),
        4 => Some(Kind::Reset),
        5 => Some(Kind::Unreachable),
        6 => Some(Kind::Dns),
        7 => Some(Kind::Tls),
        8 => Some(Kind::Status),
        9 => Some(Kind::Body),
        _ => Some(Kind::Other),
    }
}

/// In the place of a kind's number: no check has ended yet.
const NO_KIND: u8 = 0;

/// A share as it is, and what no share is for the words.
fn agent_number(agent: Agent) -> u8 {
    match agent {
        Agent::Down => AGENT_DOWN,
        Agent::Share(percent) => percent.clamp(1, 100),
        Agent::Drain => AGENT_DRAIN,
        Agent::Up => AGENT_UP,
    }
}

/// A word that this release does not know is none.
fn agent_numbered(number: u8) -> Option<Agent> {
    match number {
        AGENT_DOWN => Some(Agent::Down),
        1..=100 => Some(Agent::Share(number)),
        AGENT_DRAIN => Some(Agent::Drain),
        AGENT_UP => Some(Agent::Up),
        _ => None,
    }
}

/// A certificate's end is told from when the report was sent: four bytes instead of five.
fn seconds(sent: Moment) -> i64 {
    (sent.0 / 1000) as i64
}

/// Small numbers of either sign as small numbers: 0, -1, 1, -2, 2, ...
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// A message with more bytes is not read.
pub const MESSAGE_MAX: usize = 8 << 20;
/// The version that this release writes and reads.
pub const VERSION: u8 = 1;
/// A report with more targets is garbage. With what is usually said of each they would not fit a message.
const TARGETS_MAX: usize = 400_000;
/// A report with more monitors is garbage.
const MONITORS_MAX: usize = 65_536;
/// A name with more bytes is garbage.
const NAME_MAX: usize = 255;
/// The interval of a report that names none: what `report_interval` is unless set.
const INTERVAL_MS_DEFAULT: u64 = 2_000;

const MAGIC: [u8; 2] = *b"WR";

/// First sizes of buffers, which grow if need be.
const TARGET_BYTES_USUAL: usize = 32;
const HEAD_BYTES_USUAL: usize = 128;

/// The parts. A tag once given is never given to another.
const PROBE: u64 = 1;
const REGION: u64 = 2;
const NUMBER: u64 = 3;
const INSTANCE: u64 = 4;
const SENT: u64 = 5;
const INTERVAL: u64 = 6;
const MONITORS: u64 = 7;
const TARGETS: u64 = 8;
const ZONES: u64 = 9;

/// The flags of a target.
const OPINION: u8 = 0b11;
const OPINION_UP: u8 = 1;
const OPINION_DOWN: u8 = 2;
const MOVING: u8 = 1 << 2;
const IPV6: u8 = 1 << 3;
const KIND_FOLLOWS: u8 = 1 << 4;
const RTT_FOLLOWS: u8 = 1 << 5;
const CERTIFICATE_FOLLOWS: u8 = 1 << 6;
const AGENT_FOLLOWS: u8 = 1 << 7;

/// What an endpoint says of itself, but for shares.
const AGENT_DOWN: u8 = 0;
const AGENT_DRAIN: u8 = 101;
const AGENT_UP: u8 = 102;

#[cfg(test)]
mod tests;
