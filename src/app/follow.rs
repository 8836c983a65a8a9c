//! Following the zones that are published to the fleet.
//!
//! ```text
//!   fleet > Bundle > state/zones/VERSION > Reloader > right: served, and what a restart begins with
//!                                                  `> wrong: what was served goes on, and the fleet is told
//! ```

use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::app::reload::{Unpacked, Wanted};
use crate::app::{Failure, Ready, plan};
use crate::fleet::{Bundle, Damaged, Fleet};
use crate::load::{PublishedZones, Site, Watch};

/// What a machine starts with.
pub(super) struct Start {
    pub(super) ready: Ready,
    /// The published version that this is; `None`: files of this machine's own.
    pub(super) version: Option<u64>,
    /// Since before the files were read: no change goes unnoticed.
    pub(super) watch: Watch,
    /// What is published from now on, for those who follow.
    pub(super) bundles: Option<Bundles>,
}

/// Versions as they are published.
pub(super) type Bundles = mpsc::Receiver<Result<Bundle, Damaged>>;

/// The published zones that are on disk; without them, this machine's own files; without these, what is published
/// next, however long that takes.
pub(super) async fn start(site: &mut Site, fleet: Option<&Fleet>) -> Result<Start, Failure> {
    let follows = site.machine.fleet.as_ref().is_some_and(|fleet| fleet.follow);
    let mut bundles = fleet.filter(|_| follows).map(Fleet::bundles);
    if let Some((version, directory)) = PublishedZones::new(&site.state).current().filter(|_| follows) {
        site.zones = directory;
        return read(site, Some(version), bundles);
    }
    let Some(waiting) = bundles.as_mut().filter(|_| !site.zones.is_dir()) else {
        return read(site, None, bundles);
    };
    info!("there are no zones in {} yet: waiting for those that are published", site.zones.display());
    while let Some(published) = waiting.recv().await {
        match unpack(site, published).await {
            Ok(Unpacked { version, directory }) => {
                let waits_in = std::mem::replace(&mut site.zones, directory);
                match read(site, Some(version), None) {
                    Ok(start) => {
                        accept(site, version);
                        return Ok(Start { bundles, ..start });
                    }
                    Err(_) => site.zones = waits_in,
                }
            }
            Err(why) => warn!("{why}"),
        }
    }
    Err(Failure::Failed("the fleet ended before zones were published".into()))
}

/// Has what is published read, version by version, until nobody reads any more. `held` is read already.
pub(super) async fn keep_following(
    site: Site,
    mut bundles: Bundles,
    mut held: Option<u64>,
    wanted: mpsc::Sender<Wanted>,
) {
    while let Some(published) = bundles.recv().await {
        if published.as_ref().is_ok_and(|bundle| Some(bundle.version) == held) {
            continue;
        }
        let want = match unpack(&site, published).await {
            Ok(unpacked) => {
                held = Some(unpacked.version);
                Wanted::Published(unpacked)
            }
            Err(why) => Wanted::Nothing(why),
        };
        if wanted.send(want).await.is_err() {
            return;
        }
    }
}

/// Makes published zones those that a restart begins with. A disk that fails is no reason not to serve them.
pub(super) fn accept(site: &Site, version: u64) {
    let published = PublishedZones::new(&site.state);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = published.accept(version) {
            warn!("version {version} of the zones is served, but a restart would not begin with it: {error}");
        }
    });
}

fn read(site: &Site, version: Option<u64>, bundles: Option<Bundles>) -> Result<Start, Failure> {
    let mut watch = Watch::new(&site.zones);
    let ready = plan(site)?;
    watch.include(ready.files.clone());
    Ok(Start { ready, version, watch, bundles })
}

async fn unpack(site: &Site, published: Result<Bundle, Damaged>) -> Result<Unpacked, String> {
    let Bundle { version, files, .. } = published.map_err(|damaged| damaged.to_string())?;
    let zones = PublishedZones::new(&site.state);
    let unpacked = tokio::task::spawn_blocking(move || zones.unpack(version, &files)).await;
    let failed = |why: String| format!("version {version} of the zones cannot be unpacked: {why}");
    let directory = unpacked.map_err(|error| failed(error.to_string()))?;
    Ok(Unpacked { version, directory: directory.map_err(|error| failed(error.to_string()))? })
}
