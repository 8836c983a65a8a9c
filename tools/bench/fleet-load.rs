//! Speaks for the probes of a large fleet, and asks its servers: `tools/bench/fleet-load`.
//!
//! ```text
//!   fleet-load NATS PROBES REGIONS TARGETS SERVER...
//!
//!   the probes, one task: every 2 s a whole report of each --NATS--> servers
//!   askers, a thread a server:  how long an answer takes, and when one changes
//! ```
//!
//! It takes commands from standard input, one a line, and says one line when each is done:
//!
//! | command | what |
//! |---|---|
//! | `be silent` | no reports |
//! | `be quiet` | reports every 2 s, in which nothing turns |
//! | `be busy` | as many reports as when restless, each of which says what the last one did |
//! | `be restless` | every second an endpoint turns, seen by all probes within a second, which report at once |
//! | `ask RATE SECONDS` | asks all servers together so often: how many answers, and their latency (microseconds: p50 p99) |
//! | `change NUMBER` | lets this endpoint die in region r0: for each server, from the deciding report to the answer (microseconds) |
//!
//! The name `n0007` has a pool whose first member is the endpoint 7.

use std::env;
use std::error::Error;
use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use async_nats::Client;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use windrose::fleet::{subject, wire};
use windrose::health::{Kind, Opinion, Report, TargetReport};
use windrose::telemetry::Clock;

#[expect(dead_code, reason = "no question is asked on behalf of another network")]
#[path = "packet.rs"]
mod packet;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [nats, probes, regions, targets, servers @ ..] = arguments.as_slice() else {
        return Err("usage: fleet-load NATS PROBES REGIONS TARGETS SERVER...".into());
    };
    let size = Size { probes: probes.parse()?, regions: regions.parse()?, targets: targets.parse()? };
    let (orders, taken) = mpsc::channel(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let fleet = Fleet::connect(nats, size).await?;
        tokio::spawn(fleet.work(taken));
        Ok::<(), Failure>(())
    })?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words.as_slice() {
            ["be", mood] => {
                orders.blocking_send(Order::Be(Mood::named(mood)?))?;
                "ok".into()
            }
            ["ask", rate, seconds] => latency(servers, rate.parse()?, seconds.parse()?)?,
            ["change", number] => change(servers, number.parse()?, size, &orders)?,
            _ => return Err(format!("`{line}` is no command").into()),
        };
        println!("{said}");
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Size {
    probes: usize,
    regions: usize,
    targets: usize,
}

impl Size {
    /// How many probes of a region must say down: three quarters.
    fn quorum(self) -> usize {
        (self.probes / self.regions * 3).div_ceil(4)
    }

    /// The probes of the first region, in which the askers are.
    fn of_first_region(self) -> impl Iterator<Item = usize> {
        (0..self.probes).step_by(self.regions)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Silent,
    Quiet,
    Busy,
    Restless,
}

impl Mood {
    fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "silent" => Ok(Mood::Silent),
            "quiet" => Ok(Mood::Quiet),
            "busy" => Ok(Mood::Busy),
            "restless" => Ok(Mood::Restless),
            _ => Err(format!("`{name}` is no mood").into()),
        }
    }

    /// Whether every probe has a reason to report before its time, once a second.
    fn hastens(self) -> bool {
        matches!(self, Mood::Busy | Mood::Restless)
    }
}

enum Order {
    Be(Mood),
    /// These probes hold this of a target from now on, and report at once. The reply: when the last report was
    /// handed over.
    Say {
        probes: Vec<usize>,
        target: usize,
        opinion: Opinion,
        done: oneshot::Sender<Instant>,
    },
}

/// All the probes.
struct Fleet {
    clients: Vec<Client>,
    probes: Vec<Probe>,
    mood: Mood,
    clock: Clock,
    /// How many moments of restlessness there were.
    turns: u32,
}

struct Probe {
    report: Report,
    subject: String,
    due: Instant,
}

impl Fleet {
    async fn connect(nats: &str, size: Size) -> Result<Self, Failure> {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(async_nats::connect(nats).await?);
        }
        let clock = Clock::start();
        let apart = INTERVAL / size.probes as u32;
        let now = Instant::now();
        let probe = |number: usize| Probe::new(number, size, &clock, now + apart * number as u32);
        let probes = (0..size.probes).map(probe).collect();
        Ok(Self { clients, probes, mood: Mood::Silent, clock, turns: 0 })
    }

    async fn work(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut next_turn = Instant::now();
        loop {
            let next_report = self.probes.iter().map(|probe| probe.due).min().expect("there are probes");
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Be(mood)) => self.mood = mood,
                    Some(Order::Say { probes, target, opinion, done }) => {
                        let handed_over = self.say(&probes, target, opinion).await;
                        let _ = done.send(handed_over);
                    }
                },
                () = sleep_until(next_turn.into()) => {
                    next_turn += TURN_EVERY;
                    self.turn();
                }
                () = sleep_until(next_report.into()) => self.report_all_due().await,
            }
        }
    }

    async fn report_all_due(&mut self) {
        let now = Instant::now();
        for number in 0..self.probes.len() {
            if self.probes[number].due <= now {
                self.report(number).await;
                self.probes[number].due += INTERVAL;
            }
        }
    }

    /// An endpoint dies, or recovers in the next such moment. Each probe sees it at its own time.
    fn turn(&mut self) {
        if !self.mood.hastens() {
            return;
        }
        let target =
            RESTLESS_FROM + (self.turns / 2) as usize % (self.probes[0].report.targets.len() - RESTLESS_FROM);
        let opinion = if self.turns.is_multiple_of(2) { Opinion::Down } else { Opinion::Up };
        self.turns += 1;
        let (begin, apart) = (Instant::now(), TURN_EVERY / self.probes.len() as u32);
        for (number, probe) in (0..).zip(&mut self.probes) {
            probe.due = probe.due.min(begin + apart * number);
            if self.mood == Mood::Restless {
                probe.hold(target, opinion);
            }
        }
    }

    async fn say(&mut self, probes: &[usize], target: usize, opinion: Opinion) -> Instant {
        let mut handed_over = Instant::now();
        for number in probes {
            self.probes[*number].hold(target, opinion);
            handed_over = Instant::now();
            self.report(*number).await;
        }
        handed_over
    }

    async fn report(&mut self, number: usize) {
        if self.mood == Mood::Silent {
            return;
        }
        let client = &self.clients[number % self.clients.len()];
        let probe = &mut self.probes[number];
        let message = probe.next_report(&self.clock, self.mood != Mood::Busy);
        let sent = client.publish(probe.subject.clone(), message.into()).await;
        sent.expect("the NATS server is there");
    }
}

impl Probe {
    fn new(number: usize, size: Size, clock: &Clock, due: Instant) -> Self {
        let (name, region) = (format!("probe-{number}"), format!("r{}", number % size.regions));
        let target = |target: usize| TargetReport {
            monitor: "web".into(),
            address: IpAddr::from(Ipv4Addr::from_bits(FIRST_ADDRESS + target as u32)),
            opinion: Opinion::Up,
            moving: false,
            last: Some(Kind::Ok),
            rtt_us: Some(RTT_US + target as u32 * RTT_APART_US),
            age_ms: 3_600_000,
            certificate_end: None,
            agent: None,
        };
        let report = Report {
            probe: name.as_str().into(),
            region: region.as_str().into(),
            number: clock.now().0,
            instance: number as u64 + 1,
            sent: clock.now(),
            interval_ms: INTERVAL.as_millis() as u32,
            zones: None,
            targets: (0..size.targets).map(target).collect(),
        };
        Self { report, subject: subject::report(&region, &name), due }
    }

    fn hold(&mut self, target: usize, opinion: Opinion) {
        let target = &mut self.report.targets[target];
        let kind = if opinion == Opinion::Down { Kind::Timeout } else { Kind::Ok };
        (target.opinion, target.last, target.age_ms) = (opinion, Some(kind), 0);
    }

    /// If it `varies`, with what differs from one report to the next when nothing happens: round-trip times go up
    /// and down, and a few checks fail once.
    fn next_report(&mut self, clock: &Clock, varies: bool) -> Vec<u8> {
        let now = clock.now();
        let passed = now.since(self.report.sent).as_millis() as u64;
        self.report.sent = now;
        self.report.number += 1;
        let number = self.report.number as usize;
        for (place, target) in self.report.targets.iter_mut().enumerate() {
            let usual = RTT_US + place as u32 * RTT_APART_US;
            target.age_ms += passed;
            if varies {
                target.rtt_us = Some(usual + (place * 7 + number * 13) as u32 % 500);
                target.moving = (place + number).is_multiple_of(MOVING_ONE_IN);
            }
        }
        wire::encode(&self.report)
    }
}

/// How long answers take when all servers together are asked so often.
fn latency(servers: &[String], rate: f64, seconds: f64) -> Result<String, Failure> {
    let every = Duration::from_secs_f64(servers.len() as f64 / rate);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut took = Vec::new();
    for one in on_each(servers, |asker| asker.pace(every, until)) {
        took.extend(one?);
    }
    took.sort_unstable();
    let percentile = |percent: usize| took.get((took.len() * percent).div_ceil(100).max(1) - 1).copied();
    let (p50, p99) = percentile(50).zip(percentile(99)).ok_or("nothing was answered")?;
    Ok(format!("{} {p50} {p99}", took.len()))
}

/// An endpoint dies in the askers' region and comes back: how long the last report that it takes was on its way to an
/// answer of each server.
fn change(
    servers: &[String],
    number: usize,
    size: Size,
    orders: &mpsc::Sender<Order>,
) -> Result<String, Failure> {
    let say = |probes: Vec<usize>, opinion| -> Result<Instant, Failure> {
        let (done, handed_over) = oneshot::channel();
        orders.blocking_send(Order::Say { probes, target: number, opinion, done })?;
        Ok(handed_over.blocking_recv()?)
    };
    let probes: Vec<usize> = size.of_first_region().collect();
    let usual =
        on_each(servers, |asker| asker.answer_to(number)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let (early, last) = probes.split_at(size.quorum() - 1);
    say(early.to_vec(), Opinion::Down)?;
    // What is measured is the one report that decides, and not the queue behind the others.
    thread::sleep(SETTLE);
    let handed_over = say(last[..1].to_vec(), Opinion::Down)?;
    let changed =
        on_each(servers, |asker| asker.until(number, &|answer| usual.iter().all(|usual| usual != answer)));
    say(probes, Opinion::Up)?;
    let back =
        on_each(servers, |asker| asker.until(number, &|answer| usual.iter().any(|usual| usual == answer)));
    back.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut words = Vec::new();
    for changed in changed {
        words.push(changed?.duration_since(handed_over).as_micros().to_string());
    }
    Ok(words.join(" "))
}

/// Lets an asker of each server do something, all at the same time.
fn on_each<T: Send>(
    servers: &[String],
    work: impl Fn(Asker) -> Result<T, Failure> + Sync,
) -> Vec<Result<T, Failure>> {
    thread::scope(|scope| {
        let work = &work;
        let askers: Vec<_> =
            servers.iter().map(|server| scope.spawn(move || work(Asker::of(server)?))).collect();
        askers.into_iter().map(|asker| asker.join().expect("it does not panic")).collect()
    })
}

struct Asker(UdpSocket);

impl Asker {
    fn of(server: &str) -> Result<Self, Failure> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(socket))
    }

    /// The address that a name is answered with.
    fn answer_to(&self, name: usize) -> Result<Vec<u8>, Failure> {
        let mut query = packet::query("n%.example.org", name);
        // Its own number for each name, so that an answer to another question is noticed.
        query[..2].copy_from_slice(&(name as u16).to_be_bytes());
        self.0.send(&query)?;
        let mut room = [0; REPLY_ROOM];
        let bytes = self.0.recv(&mut room)?;
        let reply = &room[..bytes];
        if !packet::is_good(reply) || reply[..2] != query[..2] {
            return Err(format!("n{name:04} is not answered").into());
        }
        // Without the TTL, which a change shortens.
        let address = query.len() - OPT_BYTES + RECORD_HEAD_BYTES;
        Ok(reply.get(address..address + 4).ok_or("the answer is no address")?.to_vec())
    }

    /// When the answer is as wanted for the first time.
    fn until(&self, name: usize, wanted: &(impl Fn(&Vec<u8>) -> bool + Sync)) -> Result<Instant, Failure> {
        let give_up = Instant::now() + GIVE_UP;
        while Instant::now() < give_up {
            if wanted(&self.answer_to(name)?) {
                return Ok(Instant::now());
            }
            thread::sleep(POLL);
        }
        Err(format!("the answer to n{name:04} did not change within {GIVE_UP:?}").into())
    }

    /// Asks for one name after the other at a fixed rate; how long each answer took, in microseconds. A question that
    /// is late because of the answer before it counts from when it should have been asked.
    fn pace(&self, every: Duration, until: Instant) -> Result<Vec<u64>, Failure> {
        let mut took = Vec::new();
        let mut answered = Instant::now();
        let mut due = answered + every;
        while due < until {
            let begun = if answered > due {
                due
            } else {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                Instant::now()
            };
            self.answer_to(took.len() % NAMES)?;
            answered = Instant::now();
            took.push(answered.duration_since(begun).as_micros() as u64);
            due += every;
        }
        Ok(took)
    }
}

const CONNECTIONS: usize = 4;
/// Of a probe's reports.
const INTERVAL: Duration = Duration::from_secs(2);
/// Of all that turn.
const TURN_EVERY: Duration = Duration::from_secs(1);
/// The endpoint of the first target: 10.128.0.0.
const FIRST_ADDRESS: u32 = 0x0a80_0000;
/// Endpoints below this are those of which `change` is asked.
const RESTLESS_FROM: usize = 100;
/// The round-trip time of the first target, and how much more it is for each of the others.
const RTT_US: u32 = 10_000;
const RTT_APART_US: u32 = 37;
/// One target in so many has failed its last check, in any report.
const MOVING_ONE_IN: usize = 500;

/// Names that are asked for.
const NAMES: usize = 100;
const POLL: Duration = Duration::from_millis(1);
const SETTLE: Duration = Duration::from_millis(300);
const GIVE_UP: Duration = Duration::from_secs(10);
/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(2);
const REPLY_ROOM: usize = 1232;
/// What the query ends with; a reply has its answer in this place.
const OPT_BYTES: usize = 11;
/// Of a record, up to its data: a pointer to its name, type, class, TTL, length.
const RECORD_HEAD_BYTES: usize = 12;
