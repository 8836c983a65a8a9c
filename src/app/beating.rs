//! Beats: how applications say to this machine's probe that they live.
//!
//! ```text
//!   POST /beat/ENDPOINT ([beats] listen) --.
//!   windrose beat ENDPOINT (the socket) ----+--> Feeding --targets of the endpoint--> Beats > probe
//!                                                   ^                                   `--> beats.state
//!                                                   `-- Plan: which endpoints await beats
//! ```

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tracing::{error, info, warn};

use crate::app::persist;
use crate::control::{Beat, BeatKey, HttpListener, Refused};
use crate::health::Agent;
use crate::load::{Site, StateFile};
use crate::model::{Endpoint, Inventory};
use crate::plan::Plan;
use crate::probe::{Awaited, Beats, said_in};
use crate::spec::Diagnostic;

/// The one door for beats, whichever way they come. Dropping it closes it.
pub(super) struct Feeding {
    desk: Arc<Desk>,
    _tasks: JoinSet<()>,
}

/// Who awaits beats, and whoever takes them.
struct Desk {
    beats: Arc<Beats>,
    /// By endpoint; those that await none are not here.
    awaited: RwLock<HashMap<Box<str>, Vec<Awaited>>>,
}

impl Feeding {
    /// Takes beats for what a plan awaits; who was heard before is read from the state directory.
    pub(super) fn start(site: &Site, plan: &Plan) -> Self {
        let file = StateFile::new(&site.state, "beats");
        let beats = Arc::new(Beats::remembering(persist::read(&file).unwrap_or_default()));
        let desk = Arc::new(Desk { beats: Arc::clone(&beats), awaited: RwLock::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_on_disk(file, beats));
        if site.machine.beats.listen.is_some() {
            tasks.spawn(listen(site.clone(), Arc::clone(&desk)));
        }
        let feeding = Self { desk, _tasks: tasks };
        feeding.follow(plan);
        feeding
    }

    /// Takes beats for what another plan awaits, from now on.
    pub(super) fn follow(&self, plan: &Plan) {
        let awaited = awaited(&plan.inventory);
        self.desk.beats.keep(&awaited.values().flatten().cloned().collect());
        *self.desk.awaited.write().unwrap_or_else(PoisonError::into_inner) = awaited;
    }

    /// What the probe hears.
    pub(super) fn beats(&self) -> Arc<Beats> {
        Arc::clone(&self.desk.beats)
    }

    /// Feeds the targets of an endpoint; says which.
    pub(super) fn feed(&self, beat: &Beat) -> Result<String, Refused> {
        self.desk.feed(beat)
    }
}

impl Desk {
    fn feed(&self, beat: &Beat) -> Result<String, Refused> {
        let Beat { endpoint, monitor, say } = beat;
        let word = say.as_deref().map_or(Ok(Agent::Up), word)?;
        let awaited = self.awaited.read().unwrap_or_else(PoisonError::into_inner);
        let Some(targets) = awaited.get(endpoint.as_str()) else {
            return Err(Refused::Nobody(format!("there is no endpoint `{endpoint}` that awaits beats")));
        };
        let meant = |target: &&Awaited| monitor.as_ref().is_none_or(|monitor| **monitor == *target.monitor);
        let targets: Vec<&Awaited> = targets.iter().filter(meant).collect();
        if targets.is_empty() {
            let monitor = monitor.as_deref().unwrap_or_default();
            let why = format!("endpoint `{endpoint}` has no monitor `{monitor}` that awaits beats");
            return Err(Refused::Nobody(why));
        }
        targets.iter().for_each(|target| self.beats.hear(target, word));
        let fed: Vec<String> =
            targets.iter().map(|target| format!("{} of {}", target.monitor, target.address)).collect();
        Ok(format!("{endpoint} is {word}: heard by {}", fed.join(", ")))
    }
}

/// What `windrose check` has to say of how this machine takes beats.
pub(super) fn warnings(site: &Site) -> Vec<Diagnostic> {
    let Some(listen) = site.machine.beats.listen else { return Vec::new() };
    let warning = |code, message: &str, hint| Diagnostic::general_warning(code, message).hint(hint);
    let mut warnings = Vec::new();
    if !listen.ip().is_loopback() && site.machine.beats.key_file.is_none() {
        let message = format!("whoever reaches {listen} can say that an application lives, or drain it");
        let hint = "set `key_file` in [beats], or listen on loopback or on a network of your own";
        warnings.push(warning("open-beats", &message, hint));
    }
    if !site.machine.probe.enabled {
        let message = "a server without a probe takes beats that nobody hears";
        let hint = "set `enabled = true` in [probe], unless this is for `windrose probe`";
        warnings.push(warning("unheard-beats", message, hint));
    }
    warnings
}

/// The targets that await beats, by endpoint.
fn awaited(inventory: &Inventory) -> HashMap<Box<str>, Vec<Awaited>> {
    let of_endpoint = |endpoint: &Endpoint| {
        let targets = endpoint.targets.iter().flatten().map(|id| &inventory.targets[id.index()]);
        let awaited = targets.filter_map(|target| {
            let monitor = &inventory.monitors[target.monitor.index()];
            monitor.ask.within()?;
            Some(Awaited { monitor: monitor.name.clone(), address: target.address })
        });
        let awaited: Vec<Awaited> = awaited.collect();
        (!awaited.is_empty()).then(|| (endpoint.name.clone(), awaited))
    };
    inventory.endpoints.iter().filter_map(of_endpoint).collect()
}

fn word(say: &str) -> Result<Agent, Refused> {
    said_in(say).ok_or_else(|| {
        Refused::NoWord(
            "that is no word: say up, drain or down, or how much of its weight it wants, as 75%".into(),
        )
    })
}

/// Writes who was heard whenever that changes. A disk that is full costs a warning.
async fn keep_on_disk(file: StateFile<Vec<Awaited>>, beats: Arc<Beats>) {
    loop {
        beats.news().await;
        let (to, heard) = (file.clone(), beats.heard());
        match spawn_blocking(move || to.write(&heard)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => warn!("cannot write {}: {error}", file.path().display()),
            Err(error) => warn!("cannot write {}: {error}", file.path().display()),
        }
        tokio::time::sleep(WRITE_PAUSE).await;
        beats.again();
    }
}

/// Nobody goes without answers because of a port for beats; that it is missing is an error in the log.
async fn listen(site: Site, desk: Arc<Desk>) {
    let Some(address) = site.machine.beats.listen else { return };
    let key = match key(&site).await {
        Ok(key) => key,
        Err(why) => return error!("no beats over HTTP: {why}"),
    };
    match HttpListener::open(address).await {
        Ok(listener) => {
            info!("beats at http://{}/beat/ENDPOINT", listener.address());
            listener.take_beats(key, move |beat: &Beat| desk.feed(beat)).await;
        }
        Err(error) => error!("no beats over HTTP: cannot listen on {address}: {error}"),
    }
}

/// A key that cannot be read must not open the door to everybody.
async fn key(site: &Site) -> Result<Option<BeatKey>, String> {
    let Some(file) = &site.machine.beats.key_file else { return Ok(None) };
    let path = site.beside(file);
    let text = tokio::fs::read_to_string(&path).await;
    let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    BeatKey::new(&text).map(Some).ok_or_else(|| format!("{} is empty", path.display()))
}

/// After a write that failed the next one waits so long.
const WRITE_PAUSE: Duration = Duration::from_secs(10);
