//! The certificate of encrypted listeners: read at the start, and again whenever its files change. One that
//! cannot be used changes nothing: the one before is shown until its successor is whole.
//!
//! ```text
//!   a look a second --changed--> read --good--> Identity, which every handshake takes it from
//!                                   `--bad---> the log, status and metrics
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::app::Failure;
use crate::dns::Identity;
use crate::load::{Certificate, CertificateFiles, Site};

/// The certificate that is shown. Dropped, it is not followed any more.
#[derive(Debug)]
pub(super) struct Showing {
    identity: Arc<Identity>,
    shown: Arc<Mutex<Shown>>,
    /// Until they are followed.
    files: Option<CertificateFiles>,
    following: JoinSet<()>,
}

/// What is told of the certificate.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// When it ends.
    pub(super) ends: SystemTime,
    /// Why the files that are there now are not used, if they are not.
    pub(super) trouble: Option<String>,
}

impl Showing {
    /// Reads the certificate of a site; `None`: the site has none.
    ///
    /// # Errors
    /// It cannot be used: there is none before it to go on with.
    pub(super) fn read(site: &Site) -> Result<Option<Self>, Failure> {
        let Some(files) = CertificateFiles::of(site) else { return Ok(None) };
        let certificate =
            files.read().map_err(|error| Failure::Failed(format!("no certificate: {error}")))?;
        tell(&certificate);
        let identity = Arc::new(Identity::new(certificate.certified));
        let shown = Arc::new(Mutex::new(Shown { ends: certificate.ends, trouble: None }));
        Ok(Some(Self { identity, shown, files: Some(files), following: JoinSet::new() }))
    }

    /// Follows its files from now on. Call inside a tokio runtime.
    pub(super) fn follow(&mut self) {
        if let Some(files) = self.files.take() {
            self.following.spawn(follow(files, Arc::clone(&self.identity), Arc::clone(&self.shown)));
        }
    }

    /// What listeners take it from.
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// What is told of it.
    pub(super) fn shown(&self) -> Shown {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn follow(mut files: CertificateFiles, identity: Arc<Identity>, shown: Arc<Mutex<Shown>>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let looked = spawn_blocking(move || {
            let read = if files.changed() { Some(files.read()) } else { None };
            (files, read)
        });
        let Ok((same, read)) = looked.await else {
            error!("a fault of ours: the certificate is not followed any more");
            return;
        };
        files = same;
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            None => {}
            Some(Ok(certificate)) => {
                tell(&certificate);
                identity.replace(certificate.certified);
                *shown = Shown { ends: certificate.ends, trouble: None };
            }
            Some(Err(trouble)) => {
                error!("the certificate is not replaced, the one before is shown: {trouble}");
                shown.trouble = Some(trouble);
            }
        }
    }
}

fn tell(certificate: &Certificate) {
    let ends = httpdate::fmt_http_date(certificate.ends);
    match certificate.left(SystemTime::now()) {
        Some(_) => info!("the certificate for encrypted DNS ends {ends}"),
        None => warn!("the certificate for encrypted DNS has ended: {ends}"),
    }
}

/// Between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
