//! `windrose serve`: one machine at work.
//!
//! ```text
//!   sockets bound, privileges given up, state read --> first round of checks (if there was no state) --> answering
//!
//!   Server::work, one task, the keeper's only owner:
//!     report | reload | call | tick --> keeper.apply --> facts to the log, to those who watch or are notified
//!                                                    `-> snapshot to the cell, state to the disk
//! ```

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{error, info, warn};

use crate::app::certificate::Showing;
use crate::app::desk::Desk;
use crate::app::editor::Editor;
use crate::app::fleet::{self, Heard, Membership};
use crate::app::follow::{self, Start};
use crate::app::metrics::{self, Reloads};
use crate::app::notify::Notifying;
use crate::app::persist::{self, Persist};
use crate::app::probing::{Probing, settled};
use crate::app::process::{NO_SIGNALS, StopSignals, block_on, failed, host_name};
use crate::app::reload::{self, Outcome, Reloaded, Reloader, Unpacked, Wanted};
use crate::app::service::Service;
use crate::app::signing::Turns;
use crate::app::watch::Told;
use crate::app::{Failure, Ready, explain, sandbox, site, status};
use crate::control::{self, Call, Happened, Refused, Reply, Request};
use crate::dns;
use crate::dns::cookies::Secrets;
use crate::dns::primary::{Announcer, Keys, Primary, Settings, UpdateCall};
use crate::fleet::Digest;
use crate::keeper::Event;
use crate::load::{self, Held, Site, StateFile};
use crate::primary::Editions;
use crate::spec::machine::EventKind;
use crate::telemetry::Clock;

pub(super) fn run(config: Option<&Path>) -> Result<(), Failure> {
    let site = site(config)?;
    let name = site.machine.machine.name.clone().unwrap_or_else(host_name);
    let showing = Showing::read(&site)?;
    let inherited = dns::Inherited::from_environment().map_err(failed("cannot listen"))?;
    let keys = tsig_keys(&site)?;
    let (changes, updates) = mpsc::channel(UPDATES_MAX);
    let config = dns::Config {
        primary: primary(&site, &keys, changes),
        ..dns_config(&site, &name, showing.as_ref())?
    };
    let bound = dns::Bound::take(config, inherited).map_err(failed("cannot listen"))?;
    // What needs privileges is done, and nothing that others sent is read yet.
    let sandbox = sandbox::enter(&site)?;
    block_on(serve(Begun { site, name, showing, keys, updates, bound, sandbox }))
}

/// What there is before there are threads.
struct Begun {
    site: Site,
    name: String,
    showing: Option<Showing>,
    keys: Keys,
    updates: mpsc::Receiver<UpdateCall>,
    bound: dns::Bound,
    /// What of it is in force.
    sandbox: String,
}

async fn serve(begun: Begun) -> Result<(), Failure> {
    // First of all: a signal that comes during a long start must not end it.
    let hangup = signal(SignalKind::hangup()).map_err(failed(NO_SIGNALS))?;
    let mut stop = StopSignals::listen().map_err(failed(NO_SIGNALS))?;
    let Begun { mut site, name, mut showing, keys, updates, bound, sandbox } = begun;
    let fleet = fleet::join(&site, &name, Clock::start()).await?;
    let start = tokio::select! {
        start = follow::start(&mut site, fleet.as_ref()) => start?,
        signal = stop.recv() => {
            info!("{signal}: stopping");
            return Ok(());
        }
    };
    let Start { ready: Ready { plan, databases, .. }, version, watch: files, bundles } = start;
    databases.summaries(SystemTime::now()).iter().for_each(|database| info!("geo: {database}"));
    showing.iter_mut().for_each(Showing::follow);
    let state = StateFile::new(&site.state, "health");
    let saved = persist::read(&state);
    let known = saved.is_some() || plan.inventory.targets.is_empty();
    let listening = if known { Listening::now() } else { Listening::settling(&site) };
    let mut desk = Desk::new(plan, saved);
    let mut editor = Editor::start(&site);
    let snapshot = desk.cell.load_full();
    let now = load::seconds(SystemTime::now());
    let (editions, _) = editor.edit(&snapshot.plan, Some(&snapshot.health), None, now);
    drop(snapshot);
    desk.apply(Event::Editions(Arc::clone(&editions)));
    let instance = RandomState::new().hash_one(desk.clock.now());
    let probing = Probing::start(&site, &name, instance, desk.plan());
    let membership = fleet.map(|fleet| Membership::new(fleet, &name, instance, desk.clock));
    let notifying = Notifying::start(&site, &name, instance, desk.clock);
    let held = databases.held().to_vec();
    let happening = broadcast::channel(HAPPENING_MAX).0;
    let cell = Arc::clone(&desk.cell);
    let serving = Some(reload::Serving { editor, cell, updates });
    let plan = Arc::clone(desk.keeper.plan());
    let (reload, reloaded) =
        Reloader::start(&site, reload::Start { plan, databases, watch: files, hangup, serving });
    let (editions, watched) = watch::channel(editions);
    tokio::spawn(announcer(&site, keys, bound.addresses()).run(watched));
    if let Some(bundles) = bundles {
        tokio::spawn(follow::keep_following(site.clone(), bundles, version, reload.clone()));
    }
    let server = Server {
        databases: held,
        persist: Persist::start(state),
        last_reload: None,
        zones_version: version,
        reloads: Reloads::since(desk.clock.now()),
        turns: Turns::default(),
        calls: open_control(&site, &happening).await?,
        editions,
        happening,
        notifying,
        listening: bound.listening().map_err(failed("cannot listen"))?,
        showing,
        bound: Some(bound),
        running: None,
        membership,
        instance,
        site,
        name,
        desk,
        probing,
        reload,
        reloaded,
        stop,
        sandbox,
        service: Service::from_environment(TICK),
    };
    server.work(listening).await
}

/// All that one machine at work is made of.
struct Server {
    site: Site,
    name: String,
    desk: Desk,
    listening: Vec<dns::Listening>,
    /// `None`: nothing is encrypted.
    showing: Option<Showing>,
    /// Until answering starts.
    bound: Option<dns::Bound>,
    /// Since answering started.
    running: Option<dns::Running>,
    probing: Probing,
    /// In the fleet, if there is one.
    membership: Option<Membership>,
    /// Tells this process from another under the same name.
    instance: u64,
    calls: mpsc::Receiver<Call>,
    /// To those who watch.
    happening: broadcast::Sender<Arc<Happened>>,
    /// To whoever is told over HTTP.
    notifying: Option<Notifying>,
    reload: mpsc::Sender<Wanted>,
    reloaded: mpsc::Receiver<Outcome>,
    /// To whoever tells other servers of them.
    editions: watch::Sender<Arc<Editions>>,
    /// The geo databases, as of the last reload.
    databases: Vec<Held>,
    /// What the last reload said, if it was refused.
    last_reload: Option<String>,
    /// The published version that is served; `None`: files of this machine's own.
    zones_version: Option<u64>,
    reloads: Reloads,
    /// Of the keys of signed zones.
    turns: Turns,
    persist: Persist,
    stop: StopSignals,
    /// What of it is in force.
    sandbox: String,
    service: Service,
}

/// When answering starts.
struct Listening {
    /// Not later than this.
    at: Instant,
    /// As soon as every target has an opinion.
    when_settled: bool,
}

impl Listening {
    fn now() -> Self {
        Self { at: Instant::now(), when_settled: false }
    }

    fn settling(site: &Site) -> Self {
        let probe = &site.machine.probe;
        let settle = if probe.enabled { probe.settle } else { Duration::ZERO };
        Self { at: Instant::now() + settle, when_settled: true }
    }
}

impl Server {
    async fn work(mut self, listening: Listening) -> Result<(), Failure> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = sleep_until(listening.at), if self.bound.is_some() => self.start_answering()?,
                Some(mut report) = self.probing.reports.recv() => {
                    report.zones = self.zones_version;
                    let ready = listening.when_settled
                        && self.bound.is_some()
                        && settled(&report, &self.desk.plan().inventory);
                    if let Some(membership) = &self.membership {
                        membership.pass_on(&report);
                    }
                    self.apply(Event::Report(report));
                    if ready {
                        self.start_answering()?;
                    }
                }
                heard = heard(&mut self.membership) => self.take_heard(heard),
                Some(outcome) = self.reloaded.recv() => match outcome {
                    Outcome::Reloaded(reloaded) => self.take(*reloaded),
                    Outcome::Editions(editions) => self.give(editions),
                },
                Some(call) = self.calls.recv() => self.answer_call(call),
                () = self.desk.due() => {
                    self.apply(Event::Tick);
                }
                _ = ticks.tick() => {
                    self.service.is_alive();
                    self.note_line();
                    self.turns.tell(&self.desk.plan().keys);
                    self.apply(Event::Tick);
                    self.tell_fleet();
                }
                error = failure_of(&mut self.running) => {
                    error!("a listener ended: {error}");
                    self.stop().await;
                    return Err(Failure::Failed(format!("a listener ended: {error}")));
                }
                signal = self.stop.recv() => {
                    info!("{signal}: stopping");
                    self.stop().await;
                    return Ok(());
                }
            }
        }
    }

    fn start_answering(&mut self) -> Result<(), Failure> {
        let Some(bound) = self.bound.take() else { return Ok(()) };
        self.running = Some(bound.serve(Arc::clone(&self.desk.cell)).map_err(failed("cannot listen"))?);
        let addresses: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        let summary = self.desk.plan().summary();
        self.service.is_ready(&format!("answering: {summary}"));
        info!("answering on {}: {summary}", addresses.join(", "));
        Ok(())
    }

    /// Takes an event in, keeps what came of it, and logs it; the lines are for whoever asked.
    fn apply(&mut self, event: Event) -> Vec<String> {
        let told = self.desk.apply(event);
        self.persist.keep(&self.desk);
        let tell = |told: Told| {
            info!("{}", told.happened.text);
            let text = told.happened.text.clone();
            self.tell(told);
            text
        };
        told.into_iter().map(tell).collect()
    }

    /// Tells those who watch, and whoever is notified.
    fn tell(&self, told: Told) {
        if let Some(notifying) = &self.notifying {
            notifying.tell(&told);
        }
        // Nobody may be watching.
        let _ = self.happening.send(Arc::new(told.happened));
    }

    fn take_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Report(report) => {
                self.apply(Event::Report(report));
            }
            Heard::Digest(digest) => {
                let now = self.desk.clock.now();
                if let Some(membership) = &mut self.membership {
                    membership.note(digest, now);
                }
            }
        }
    }

    fn note_line(&mut self) {
        if let Some(membership) = &self.membership {
            let silent_since = membership.silent_since();
            self.apply(Event::Line { silent_since });
        }
    }

    /// Says what this server runs and holds, so that one that differs is seen.
    fn tell_fleet(&mut self) {
        let Some(membership) = &mut self.membership else { return };
        let (plan, health) = (self.desk.keeper.plan(), self.desk.keeper.health());
        membership.tell(Digest {
            server: self.name.as_str().into(),
            instance: self.instance,
            generation: self.desk.cell.load().generation,
            map: health.fingerprint(&plan.inventory),
            plan: plan.source.value(),
            zones_version: self.zones_version,
            zones_error: self.last_reload.clone(),
            windrose: env!("CARGO_PKG_VERSION").into(),
            sent: self.desk.clock.now(),
        });
    }

    fn take(&mut self, reloaded: Reloaded) {
        let Reloaded { databases, geography, plan, said, because, published, asked, editions, update } =
            reloaded;
        let now = self.desk.clock.now();
        self.databases = databases;
        self.reloads.count(plan.is_some(), now);
        geography.iter().for_each(|database| info!("geo: {database}"));
        let reply = match plan {
            Some(plan) => {
                let text = format!("reloaded ({because}): {}", plan.summary());
                // They were told when the files were read for their own sake.
                if !said.is_empty() && update.is_none() {
                    warn!("the files have warnings\n{said}");
                }
                info!("{text}");
                self.probing.follow(&plan);
                if let Some(Unpacked { version, directory }) = published {
                    self.zones_version = Some(version);
                    self.site.zones = directory;
                    follow::accept(&self.site, version);
                }
                let data = json!({ "because": because, "version": self.zones_version });
                self.tell(Told::new(EventKind::Reloaded, now, &text, data));
                self.apply(Event::Plan(plan));
                if let Some(editions) = editions {
                    self.give(editions);
                }
                // It is served now.
                if let Some(update) = update {
                    update.done.accept();
                }
                self.last_reload = None;
                self.service.does(&text);
                Reply::said(format!("{said}{text}\n"))
            }
            None => {
                let text = format!("the files are wrong ({because}): what was served before goes on\n{said}");
                error!("{text}");
                let first = first_error(&said);
                self.service.does(&format!("what was served before goes on, the files are wrong: {first}"));
                let words =
                    format!("the files are wrong ({because}), what was served before goes on: {first}");
                let data = json!({ "because": because, "error": first, "version": self.zones_version });
                self.tell(Told::new(EventKind::ReloadRefused, now, words, data));
                self.last_reload = Some(said);
                Reply::failed(text)
            }
        };
        if let Some(asked) = asked {
            let _ = asked.send(reply);
        }
    }

    /// Serves other editions, and tells those who should know.
    fn give(&mut self, editions: Arc<Editions>) {
        self.apply(Event::Editions(Arc::clone(&editions)));
        self.editions.send_replace(editions);
    }

    fn answer_call(&mut self, call: Call) {
        let Call { request, reply } = call;
        let said = match request {
            Request::Reload => return self.ask_to_reload(reply),
            Request::Explain(question) => self.explain(&question),
            Request::Metrics => return metrics::tell(&self.view(), reply),
            Request::Ready => self.ready(),
            Request::Status => status::reply(&self.view()),
            Request::Watch => Reply::failed("watching is the listener's"),
            Request::Control { endpoint, control } => match self.desk.plan().inventory.endpoint(&endpoint) {
                None => Reply::failed(format!("there is no endpoint `{endpoint}`")),
                Some(_) => self.operate(Event::Control { endpoint, control }),
            },
            Request::Beat(beat) => match self.probing.feed(&beat) {
                Ok(fed) => Reply::said(fed + "\n"),
                Err(Refused::Nobody(why) | Refused::NoWord(why)) => Reply::failed(why),
            },
            Request::Failback { pool } => match self.desk.plan().inventory.pool(&pool) {
                None => Reply::failed(format!("there is no pool `{pool}`")),
                Some(_) => self.operate(Event::Failback { pool }),
            },
        };
        let _ = reply.send(said);
    }

    /// The answer comes when the files have been read. This task waits for nobody.
    fn ask_to_reload(&self, reply: oneshot::Sender<Reply>) {
        let Err(refused) = self.reload.try_send(Wanted::Again(reply)) else { return };
        let why = match refused {
            TrySendError::Full(_) => "a reload is waiting already; it reads what is there now",
            TrySendError::Closed(_) => "files can no longer be reloaded: restart the server",
        };
        if let Wanted::Again(reply) = refused.into_inner() {
            let _ = reply.send(Reply::failed(why));
        }
    }

    fn operate(&mut self, event: Event) -> Reply {
        let facts = self.apply(event);
        self.persist.keep_now(&self.desk);
        let mut said = if facts.is_empty() { "nothing changed\n".into() } else { facts.join("\n") + "\n" };
        if let Some(error) = self.persist.writing().error {
            said += &format!("it would not survive a restart: {error}\n");
        }
        Reply::said(said)
    }

    fn ready(&self) -> Reply {
        if self.running.is_some() {
            Reply::said("answering\n")
        } else {
            Reply::failed("not yet: the first checks are under way")
        }
    }

    fn explain(&self, question: &control::Explain) -> Reply {
        let from = match ipnet::IpNet::new(question.from, question.prefix) {
            Ok(from) => from,
            Err(error) => return Reply::failed(error.to_string()),
        };
        let snapshot = self.desk.cell.load();
        match explain::of(&snapshot, &question.name, &question.qtype, from, question.draw) {
            Err(error) => Reply::failed(error),
            Ok(explanation) => {
                let (text, data) = explain::rendered(&explanation);
                Reply::Done { text, data }
            }
        }
    }

    fn view(&self) -> status::View<'_> {
        status::View {
            name: &self.name,
            site: &self.site,
            sandbox: &self.sandbox,
            databases: &self.databases,
            listening: &self.listening,
            certificate: self.showing.as_ref().map(Showing::shown),
            membership: self.membership.as_ref(),
            notified: self.notifying.as_ref().map(Notifying::progress),
            zones_version: self.zones_version,
            answering: self.running.is_some(),
            snapshot: self.desk.cell.load_full(),
            probes: self.desk.keeper.probes(self.desk.clock.now()),
            void: self.probing.void(),
            refused: self.desk.keeper.dropped(),
            now: self.desk.clock.now(),
            last_reload: self.last_reload.as_deref(),
            reloads: &self.reloads,
            published: self.desk.published,
            state: self.persist.writing(),
            traffic: self.running.as_ref().map(dns::Running::traffic).unwrap_or_default(),
            signatures: self.running.as_ref().map(dns::Running::signatures).unwrap_or_default(),
        }
    }

    async fn stop(mut self) {
        self.service.is_stopping();
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        let notified = async {
            if let Some(notifying) = self.notifying.take() {
                notifying.finish().await;
            }
        };
        tokio::join!(self.persist.finish(&self.desk), notified);
        info!("stopped");
    }
}

/// A disk that is full or read-only must not keep a name server from starting; another server must.
async fn open_control(
    site: &Site,
    happening: &broadcast::Sender<Arc<Happened>>,
) -> Result<mpsc::Receiver<Call>, Failure> {
    let (calls, taken) = mpsc::channel(1);
    match control::Listener::open(&site.socket) {
        Ok(listener) => {
            tokio::spawn(listener.serve(calls.clone(), happening.clone()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            return Err(Failure::Failed(error.to_string()));
        }
        Err(error) => warn!("no control socket at {}: {error}", site.socket.display()),
    }
    if let Some(address) = site.machine.control.listen {
        open_metrics(address, calls).await;
    }
    Ok(taken)
}

/// Nobody goes without answers because of a port for metrics; that it is missing shows in the monitoring.
async fn open_metrics(address: SocketAddr, calls: mpsc::Sender<Call>) {
    match control::HttpListener::open(address).await {
        Ok(listener) => {
            info!("metrics at http://{}/metrics", listener.address());
            tokio::spawn(listener.show_pages(calls));
        }
        Err(error) => error!("no metrics: cannot listen on {address}: {error}"),
    }
}

fn dns_config(site: &Site, name: &str, showing: Option<&Showing>) -> Result<dns::Config, Failure> {
    let settings = &site.machine.dns;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let encrypted = site.machine.tls.as_ref().zip(showing).map(|(tls, showing)| dns::Encrypted {
        identity: showing.identity(),
        tls: tls.listen_tls.clone(),
        https: tls.listen_https.clone(),
        quic: tls.listen_quic.clone(),
        https_path: tls.https_path.clone(),
    });
    Ok(dns::Config {
        listen: settings.listen.clone(),
        workers: if settings.workers == 0 { cores } else { settings.workers },
        client_subnet: settings.client_subnet,
        client_subnet_from: settings.client_subnet_from.clone(),
        udp_payload: settings.udp_payload,
        tcp_connections: settings.tcp_connections,
        tcp_connections_per_client: settings.tcp_connections_per_client,
        tcp_connections_per_prefix: settings.tcp_connections_per_prefix,
        tcp_idle: settings.tcp_idle,
        tcp_write: settings.tcp_write,
        signatures: site.machine.dnssec.signatures,
        proxies: settings.proxy_from.clone(),
        encrypted,
        name: name.to_owned(),
        cookies: cookies(site)?,
        chaos: dns::Chaos { version: settings.chaos_version.clone(), name: settings.chaos_name.clone() },
        limits: site.machine.limits.clone(),
        primary: None,
    })
}

/// The keys that messages may be signed with. All that are named in the configuration must be there.
fn tsig_keys(site: &Site) -> Result<Keys, Failure> {
    let machine = &site.machine;
    let keys = match &machine.tsig.keys {
        None => Keys::default(),
        Some(file) => {
            let path = site.beside(file);
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let read = text.and_then(|text| Keys::parse(&text).map_err(|error| error.to_string()));
            read.map_err(|error| Failure::Failed(format!("no TSIG keys in {}: {error}", path.display())))?
        }
    };
    let transfers = machine.transfer.allow.iter().filter_map(|grant| grant.key.as_ref());
    let notified = machine.transfer.notify.iter().filter_map(|secondary| secondary.key.as_ref());
    let updates = machine.update.allow.iter().map(|grant| &grant.key);
    match transfers.chain(notified).chain(updates).find(|name| keys.named(name).is_none()) {
        None => Ok(keys),
        Some(name) => Err(Failure::Failed(format!(
            "there is no TSIG key `{name}`: make one with `tsig-keygen -a hmac-sha256 {name}`, and name the file in `[tsig]`"
        ))),
    }
}

/// Who sees to transfers and updates; `None`: nobody may do either.
fn primary(site: &Site, keys: &Keys, changes: mpsc::Sender<UpdateCall>) -> Option<Arc<Primary>> {
    let (transfers, updates) = (site.machine.transfer.allow.clone(), site.machine.update.allow.clone());
    if transfers.is_empty() && updates.is_empty() {
        return None;
    }
    Some(Arc::new(Primary::new(Settings { keys: keys.clone(), transfers, updates, changes })))
}

fn announcer(site: &Site, keys: Keys, listen: Vec<SocketAddr>) -> Announcer {
    Announcer::new(site.machine.transfer.notify.clone(), keys, listen)
}

/// Secrets that cannot be read would break cookies of an anycast set on this machine alone, where it is hard to find.
fn cookies(site: &Site) -> Result<Option<Secrets>, Failure> {
    let settings = &site.machine.dns;
    let Some(file) = settings.cookie_secrets.as_ref().filter(|_| settings.cookies) else {
        return Ok(settings.cookies.then(Secrets::drawn).flatten());
    };
    let path = site.beside(file);
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let read = text.and_then(|text| Secrets::read(&text));
    read.map(Some).map_err(|error| Failure::Failed(format!("no secrets in {}: {error}", path.display())))
}

/// Of diagnostics in words the first error, and where it is.
fn first_error(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error")).take(2);
    let error = lines.next().or(said.lines().next()).unwrap_or_default();
    let place = lines.next().map(str::trim).filter(|line| line.starts_with("-->"));
    place.map_or(error.to_owned(), |place| format!("{error} {place}"))
}

/// Waits for ever without a fleet.
async fn heard(membership: &mut Option<Membership>) -> Heard {
    match membership {
        Some(membership) => membership.heard().await,
        None => std::future::pending().await,
    }
}

/// Waits for ever while nothing runs.
async fn failure_of(running: &mut Option<dns::Running>) -> std::io::Error {
    match running {
        Some(running) => running.failed().await,
        None => std::future::pending().await,
    }
}

/// Time passes for the keeper this often.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// Updates that wait for those before them; who comes then is told to try again.
const UPDATES_MAX: usize = 64;

/// Events that a slow watcher may be behind; of what is beyond it hears only how many there were.
const HAPPENING_MAX: usize = 1024;
