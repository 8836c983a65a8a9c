//! The commands of a scenario, as written.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::answer::Client;
use crate::health::{Agent, Control, Opinion};
use crate::spec::{did_you_mean, duration};

/// One command, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    Zones(String),
    File(String),
    Geo,
    Load,
    Check,
    Report { probe: Probe, says: Vec<(String, Said)> },
    Checks { probe: Probe, endpoint: String, results: Vec<bool> },
    Silence(Probe),
    Cut(Probe),
    Mend,
    Wait(Duration),
    Jump(Duration),
    Ask { question: Question, draw: u64 },
    Share { question: Question, draws: u64 },
    Explain { question: Question, draw: u64 },
    Control { endpoint: String, control: Option<Control> },
    Failback(String),
    Restart,
    Status,
    Locate(Vec<IpNet>),
}

/// What a probe says of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Opinion(Opinion),
    /// Its round-trip time.
    Rtt(Duration),
    /// The word that it heard.
    Agent(Agent),
}

/// `REGION/NAME`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probe {
    pub(super) region: String,
    pub(super) name: String,
}

/// `NAME TYPE from ADDRESS [via RESOLVER]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) qtype: String,
    pub(super) client: Client,
}

/// Every command: how it is written, and what it does.
pub const COMMANDS: [(&str, &str); 22] = [
    ("zones DIRECTORY", "load a zones directory"),
    ("file NAME", "the lines that follow are that file of a zones directory made here"),
    (
        "geo",
        "the lines that follow are what geo databases know; it counts from the next `load` or `zones` on",
    ),
    ("load", "load the files made here (again: reload)"),
    ("check", "print every warning and each name's failover promise"),
    (
        "report REGION/PROBE [ENDPOINT[.ipv4|.ipv6|.MONITOR]=up|down|unknown ...] [rtt ENDPOINT=TIME ...] \
         [agent ENDPOINT=up|drain|down|N% ...]",
        "a probe reports; what is not named stays as it said before, at first up",
    ),
    (
        "checks REGION/PROBE ENDPOINT ok|fail ...",
        "results of a probe's checks, a recheck apart, through its trackers",
    ),
    ("silence REGION/PROBE", "from now on it is not heard"),
    ("cut REGION/PROBE", "the line to the fleet is cut, and only this one is heard: the server's own"),
    ("mend", "the line carries again"),
    ("wait DURATION", "time passes; probes go on reporting every 2 s"),
    ("jump DURATION", "the clock jumps forward"),
    (
        "ask NAME TYPE from ADDRESS [via RESOLVER] [draw N]",
        "a query; ADDRESS may be a subnet, as the RESOLVER tells it",
    ),
    (
        "share NAME TYPE from ADDRESS [via RESOLVER] draws N",
        "N queries with draws of their own; how many got what",
    ),
    ("explain NAME TYPE from ADDRESS [via RESOLVER] [draw N]", "every step of why"),
    ("locate ADDRESS ...", "where clients are: region and scope on each map, and how far each region is"),
    ("drain ENDPOINT", "an operator takes it out"),
    ("force ENDPOINT up|down", "an operator fixes its verdict"),
    ("release ENDPOINT", "an operator leaves it to its checks"),
    ("failback POOL", "an operator lets recovered members be used"),
    ("restart", "the server restarts from its saved state"),
    ("status", "every verdict that is held"),
];

impl Command {
    /// Reads a command line; the error is a sentence for people.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = match words.as_slice() {
            ["zones", directory] => Command::Zones((*directory).into()),
            ["file", name] => Command::File((*name).into()),
            ["geo"] => Command::Geo,
            ["load"] => Command::Load,
            ["check"] => Command::Check,
            ["report", probe, says @ ..] => {
                Command::Report { probe: Probe::parse(probe)?, says: all_said(says)? }
            }
            ["checks", probe, endpoint, results @ ..] => {
                let results = results.iter().map(|word| passed(word)).collect::<Result<_, _>>()?;
                Command::Checks { probe: Probe::parse(probe)?, endpoint: (*endpoint).into(), results }
            }
            ["silence", probe] => Command::Silence(Probe::parse(probe)?),
            ["cut", probe] => Command::Cut(Probe::parse(probe)?),
            ["mend"] => Command::Mend,
            ["wait", time] => Command::Wait(duration::parse(time).map_err(|error| error.to_string())?),
            ["jump", time] => Command::Jump(duration::parse(time).map_err(|error| error.to_string())?),
            ["ask", question @ ..] => {
                let (question, draw) = Question::parse(question, "draw")?;
                Command::Ask { question, draw: draw.unwrap_or(0) }
            }
            ["explain", question @ ..] => {
                let (question, draw) = Question::parse(question, "draw")?;
                Command::Explain { question, draw: draw.unwrap_or(0) }
            }
            ["share", question @ ..] => {
                let (question, draws) = Question::parse(question, "draws")?;
                Command::Share { question, draws: draws.unwrap_or(SHARE_DRAWS).min(SHARE_DRAWS_MAX) }
            }
            ["drain", endpoint] => control(endpoint, Some(Control::Drain)),
            ["force", endpoint, "up"] => control(endpoint, Some(Control::ForceUp)),
            ["force", endpoint, "down"] => control(endpoint, Some(Control::ForceDown)),
            ["release", endpoint] => control(endpoint, None),
            ["failback", pool] => Command::Failback((*pool).into()),
            ["restart"] => Command::Restart,
            ["status"] => Command::Status,
            ["locate", first, more @ ..] => {
                let clients = [first].into_iter().chain(more).map(|word| subnet(word));
                Command::Locate(clients.collect::<Result<_, _>>()?)
            }
            _ => return Err(unknown(&words)),
        };
        Ok(command)
    }
}

impl Probe {
    fn parse(word: &str) -> Result<Self, String> {
        let (region, name) = word.split_once('/').ok_or_else(|| format!("`{word}` is no REGION/PROBE"))?;
        Ok(Self { region: region.into(), name: name.into() })
    }
}

impl Question {
    /// `NAME TYPE from ADDRESS [via RESOLVER] [key N]`
    fn parse(words: &[&str], key: &str) -> Result<(Self, Option<u64>), String> {
        let usage = || format!("this takes: NAME TYPE from ADDRESS [via RESOLVER] [{key} N]");
        let [name, qtype, "from", address, more @ ..] = words else { return Err(usage()) };
        let told = subnet(address)?;
        let (client, more) = match more {
            ["via", resolver, more @ ..] => {
                let source = resolver.parse().map_err(|_| format!("`{resolver}` is no address"))?;
                // A source prefix of 0 tells nothing (RFC 7871 section 7.1.2).
                (Client { source, subnet: Some(told).filter(|told| told.prefix_len() > 0) }, more)
            }
            more => (Client::within(told), more),
        };
        let number = match more {
            [] => None,
            [word, number] if *word == key => Some(number.parse().map_err(|_| usage())?),
            _ => return Err(usage()),
        };
        Ok((Self { name: (*name).into(), qtype: (*qtype).into(), client }, number))
    }
}

fn subnet(word: &str) -> Result<IpNet, String> {
    let subnet = word.parse::<IpNet>().or_else(|_| word.parse::<IpAddr>().map(IpNet::from));
    let subnet = subnet.map_err(|_| format!("`{word}` is neither an address nor a subnet"))?;
    Ok(subnet.trunc())
}

/// `TARGET=OPINION ... rtt TARGET=TIME ... agent TARGET=WORD ...`
fn all_said(words: &[&str]) -> Result<Vec<(String, Said)>, String> {
    let mut read: fn(&str) -> Result<Said, String> = opinion;
    let mut says = Vec::new();
    for word in words {
        match *word {
            "rtt" => read = |time| duration::parse(time).map(Said::Rtt),
            "agent" => read = agent,
            word => {
                let (target, said) =
                    word.split_once('=').ok_or_else(|| format!("`{word}` is no ENDPOINT=OPINION"))?;
                says.push((target.into(), read(said)?));
            }
        }
    }
    Ok(says)
}

fn opinion(word: &str) -> Result<Said, String> {
    match word {
        "up" => Ok(Said::Opinion(Opinion::Up)),
        "down" => Ok(Said::Opinion(Opinion::Down)),
        "unknown" => Ok(Said::Opinion(Opinion::Unknown)),
        _ => Err(format!("`{word}` is none of up, down, unknown")),
    }
}

fn agent(word: &str) -> Result<Said, String> {
    let share = word.strip_suffix('%').and_then(|percent| percent.parse().ok());
    match (word, share) {
        ("up", _) => Ok(Said::Agent(Agent::Up)),
        ("drain", _) => Ok(Said::Agent(Agent::Drain)),
        ("down", _) => Ok(Said::Agent(Agent::Down)),
        (_, Some(percent @ 1..=100)) => Ok(Said::Agent(Agent::Share(percent))),
        _ => Err(format!("`{word}` is none of up, drain, down, 1% to 100%")),
    }
}

fn passed(word: &str) -> Result<bool, String> {
    match word {
        "ok" => Ok(true),
        "fail" => Ok(false),
        other => Err(format!("`{other}` is neither ok nor fail")),
    }
}

fn control(endpoint: &str, control: Option<Control>) -> Command {
    Command::Control { endpoint: endpoint.into(), control }
}

fn unknown(words: &[&str]) -> String {
    let word = words.first().copied().unwrap_or_default();
    let usages = COMMANDS.iter().map(|(usage, _)| *usage);
    let verb = |usage: &'static str| usage.split(' ').next().unwrap_or(usage);
    if let Some(usage) = usages.clone().find(|usage| verb(usage) == word) {
        return format!("this is written: {usage}");
    }
    match did_you_mean(word, usages.map(verb)) {
        Some(close) => format!("there is no command `{word}`; did you mean `{close}`?"),
        None => format!("there is no command `{word}`"),
    }
}

/// Draws of a `share` that does not say how many.
const SHARE_DRAWS: u64 = 1000;

/// More draws prove nothing more.
const SHARE_DRAWS_MAX: u64 = 1_000_000;
