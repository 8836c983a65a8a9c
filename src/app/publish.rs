//! `windrose publish`, `rollback` and `history`: the zones of the whole fleet.
//!
//! ```text
//!   zones/ --checked--> what changes, and whose answers --> a new version --> every server says that it serves it
//! ```
//!
//! What is checked is what is sent: the files are read once, laid out as a server will lay them out, and compiled from
//! there. A file that is named but lies elsewhere is missing there as it would be missing on a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::answer::{Changes, changes};
use crate::app::print::{print, print_line};
use crate::app::process::{block_on, host_name};
use crate::app::{Failure, fleet, plan, site};
use crate::cli::{Output, Publication};
use crate::fleet::{Digest, Files, Fleet, Inbox, PublishError, Published, Store, Version};
use crate::load::{Site, zone_files};
use crate::plan::Plan;
use crate::telemetry::Clock;

pub(super) fn publish(
    publication: &Publication,
    dry_run: bool,
    config: Option<&Path>,
) -> Result<(), Failure> {
    block_on(async {
        let site = site(config)?;
        let files = zone_files(&site.zones)
            .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", site.zones.display())))?;
        let after = checked(&site, &files)?;
        let fleet = join(&site).await?;
        let mut digests = fleet.digests();
        let newest = newest(&fleet.store()).await?;
        if newest.as_ref().is_some_and(|newest| newest.files == files) {
            let version = newest.map_or(0, |newest| newest.version);
            return finish(
                publication,
                &Changes::default(),
                &format!("version {version} is this already\n"),
                None,
            );
        }
        let before = match &newest {
            Some(newest) => compiled(&site, &newest.files).ok(),
            None => None,
        };
        let changes = before.map_or_else(Changes::default, |before| changes(&before, &after));
        let differs = newest.as_ref().map_or_else(Vec::new, |newest| differing(&newest.files, &files));
        let told = told(&changes, &differs, newest.as_ref().map(|newest| newest.version));
        if dry_run {
            return finish(publication, &changes, &(told + "nothing was published\n"), None);
        }
        print_first(publication, &told)?;
        let expected = newest.map_or(0, |newest| newest.version);
        let store = fleet.store();
        let who = who(publication);
        let outcome = store.publish(files, &who, &publication.message, Some(expected)).await;
        conclude(publication, &changes, outcome, &store, &mut digests).await
    })
}

pub(super) fn rollback(
    version: Option<u64>,
    publication: &Publication,
    config: Option<&Path>,
) -> Result<(), Failure> {
    block_on(async {
        let site = site(config)?;
        let fleet = join(&site).await?;
        let store = fleet.store();
        let mut digests = fleet.digests();
        let history = store.history(HISTORY_MAX).await.map_err(failed)?;
        let Some(newest) = history.first().map(|newest| newest.version) else {
            return Err(Failure::Failed("nothing was published yet".into()));
        };
        let version = version.or_else(|| before(&history)).ok_or_else(|| {
            Failure::Failed("there is no version before the newest: `windrose history` lists all".into())
        })?;
        let (was, is) = (store.get(newest).await.map_err(failed)?, store.get(version).await.map_err(failed)?);
        let after = checked(&site, &is.files)?;
        let changes =
            compiled(&site, &was.files).map_or_else(|_| Changes::default(), |was| changes(&was, &after));
        print_first(publication, &told(&changes, &differing(&was.files, &is.files), Some(newest)))?;
        let outcome = store.rollback(version, &who(publication), &publication.message, Some(newest)).await;
        conclude(publication, &changes, outcome, &store, &mut digests).await
    })
}

pub(super) fn history(limit: usize, config: Option<&Path>, output: Output) -> Result<(), Failure> {
    block_on(async {
        let site = site(config)?;
        let versions = join(&site).await?.store().history(limit).await.map_err(failed)?;
        match output {
            Output::Json => {
                let all: Value = versions.iter().map(version_data).collect();
                print_line(format_args!("{all:#}"))?
            }
            Output::Text if versions.is_empty() => print_line("nothing was published yet")?,
            Output::Text => {
                print(versions.iter().map(|version| version_line(version) + "\n").collect::<String>())?
            }
        };
        Ok(())
    })
}

/// What the store says, whom it reaches, and how that ends.
async fn conclude(
    publication: &Publication,
    changes: &Changes,
    outcome: Result<Published, PublishError>,
    store: &Store,
    digests: &mut Inbox<Digest>,
) -> Result<(), Failure> {
    let outcome = match outcome {
        Err(PublishError::Unknown(operation)) => {
            eprintln!(
                "windrose: the store did not answer in time: looking whether operation {operation} was done"
            );
            store.look_up(&operation, LOOK_UP).await
        }
        outcome => outcome,
    };
    let Published { version } = outcome.map_err(failed)?;
    print_first(publication, &format!("version {version} is published\n"))?;
    let servers = served(version, digests, publication.wait).await;
    let (text, refused) = servers_told(version, &servers);
    finish(publication, changes, &text, Some((version, &servers)))?;
    if refused { Err(Failure::Failed(format!("not every server serves version {version}"))) } else { Ok(()) }
}

/// What each server says of itself, until all that were heard serve a version or refused it, or time is up.
async fn served(version: u64, digests: &mut Inbox<Digest>, wait: Duration) -> BTreeMap<Box<str>, Digest> {
    let begin = Instant::now();
    let mut servers = BTreeMap::new();
    let settled = |digest: &Digest| digest.zones_version == Some(version) || digest.zones_error.is_some();
    loop {
        let all = !servers.is_empty() && servers.values().all(settled) && begin.elapsed() >= ROUND.min(wait);
        let until = if begin.elapsed() < ROUND { begin + ROUND.min(wait) } else { begin + wait };
        if all || begin.elapsed() >= wait {
            return servers;
        }
        if let Ok(Some(digest)) = timeout_at(until, digests.recv()).await {
            servers.insert(digest.server.clone(), digest);
        }
    }
}

fn servers_told(version: u64, servers: &BTreeMap<Box<str>, Digest>) -> (String, bool) {
    let mut text = String::new();
    let mut refused = false;
    for (name, digest) in servers {
        let state = match (&digest.zones_version, &digest.zones_error) {
            (Some(serves), None) if *serves == version => "serves it".into(),
            (_, Some(error)) => {
                refused = true;
                format!("refused it, and serves what it had\n{error}")
            }
            (Some(serves), None) => format!("still serves version {serves}"),
            (None, None) => "serves files of its own".into(),
        };
        text += &format!("  {name} {state}\n");
    }
    if servers.is_empty() {
        text += "  no server was heard\n";
    }
    (text, refused)
}

/// Compiled as a server would, with what is wrong printed.
fn checked(site: &Site, files: &Files) -> Result<Arc<Plan>, Failure> {
    let layout = Layout::of(site, files)?;
    let ready = plan(&layout.site)?;
    Ok(Arc::new(ready.plan))
}

/// As [`checked`], of zones that were right once: what is wrong with them is not this publication's.
fn compiled(site: &Site, files: &Files) -> Result<Arc<Plan>, Failure> {
    let layout = Layout::of(site, files)?;
    let databases = crate::load::Databases::open(&layout.site, std::time::SystemTime::now());
    let report_interval = site.machine.probe.report_interval;
    let loaded = crate::load::zones(
        &layout.site.zones,
        databases.facts(),
        report_interval,
        &crate::load::Overlays::new(),
    );
    loaded.plan.map(Arc::new).ok_or(Failure::WrongInput)
}

/// The files of a version, laid out for as long as this is held.
struct Layout {
    site: Site,
    directory: PathBuf,
}

impl Layout {
    fn of(site: &Site, files: &Files) -> Result<Self, Failure> {
        let directory = site.state.join(format!("publish-{}", std::process::id()));
        let published = crate::load::PublishedZones::new(&directory);
        let zones = published.unpack(0, files).map_err(failed)?;
        Ok(Self { site: Site { zones, ..site.clone() }, directory })
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn join(site: &Site) -> Result<Fleet, Failure> {
    let name = site.machine.machine.name.clone().unwrap_or_else(host_name);
    fleet::join(site, &name, Clock::start()).await?.ok_or_else(|| {
        let hint = "say where it is in [fleet], as nats = [\"tls://nats-1.example.net:4222\"]";
        Failure::Failed(format!("{} knows of no fleet: {hint}", site.config.display()))
    })
}

async fn newest(store: &Store) -> Result<Option<crate::fleet::Bundle>, Failure> {
    match store.newest().await.map_err(failed)? {
        None => Ok(None),
        Some(version) => store.get(version).await.map(Some).map_err(failed),
    }
}

/// The version that was current before the newest: what it returned to, if it was a return, is passed over.
fn before(history: &[Version]) -> Option<u64> {
    let newest = history.first()?;
    let begin = newest.rolled_back_to.unwrap_or(newest.version);
    history.iter().map(|version| version.version).find(|version| *version < begin)
}

/// `+ a`, `- b`, `~ c`: the files that differ.
fn differing(before: &Files, after: &Files) -> Vec<String> {
    let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.iter().cloned().collect(), after.iter().cloned().collect());
    let gone = before.keys().filter(|path| !after.contains_key(*path)).map(|path| format!("- {path}"));
    let there = after.iter().filter_map(|(path, text)| match before.get(path) {
        None => Some(format!("+ {path}")),
        Some(was) if was != text => Some(format!("~ {path}")),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

fn told(changes: &Changes, files: &[String], newest: Option<u64>) -> String {
    let mut text = match newest {
        None => "nothing was published before\n".to_string(),
        Some(newest) => format!("against version {newest}:\n"),
    };
    files.iter().for_each(|file| text += &format!("{file}\n"));
    text + &changes.to_string()
}

fn who(publication: &Publication) -> String {
    publication.who.clone().unwrap_or_else(|| {
        let user = std::env::var("USER").unwrap_or_else(|_| "somebody".into());
        format!("{user}@{}", host_name())
    })
}

/// Text as soon as there is some; JSON only whole.
fn print_first(publication: &Publication, text: &str) -> Result<(), Failure> {
    if publication.format.format == Output::Text {
        print(text)?;
    }
    Ok(())
}

fn finish(
    publication: &Publication,
    changes: &Changes,
    text: &str,
    published: Option<(u64, &BTreeMap<Box<str>, Digest>)>,
) -> Result<(), Failure> {
    match publication.format.format {
        Output::Text => print(text)?,
        Output::Json => {
            let all = json!({
                "published": published.map(|(version, _)| version),
                "servers": published.map(|(_, servers)| servers.values().collect::<Vec<_>>()),
                "changes": changes,
            });
            print_line(format_args!("{all:#}"))?
        }
    };
    Ok(())
}

fn version_line(version: &Version) -> String {
    let Version { version, who, why, when, rolled_back_to, bytes } = version;
    let back = rolled_back_to.map(|to| format!(" (version {to} again)")).unwrap_or_default();
    let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(when.0));
    format!("{version:>6}  {date}  {who}  {bytes} bytes{back}  {why}")
}

fn version_data(version: &Version) -> Value {
    let Version { version, who, why, when, rolled_back_to, bytes } = version;
    json!({
        "version": version,
        "who": who,
        "why": why,
        "when_ms": when.0,
        "rolled_back_to": rolled_back_to,
        "bytes": bytes,
    })
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

/// Every server says what it serves at least this often.
const ROUND: Duration = Duration::from_secs(2);

/// How long the outcome of a publication is looked for that the store did not answer.
const LOOK_UP: Duration = Duration::from_secs(20);

/// Versions that `rollback` looks at, for the one before the newest.
const HISTORY_MAX: usize = 200;
