//! What every long-lived process needs: threads, signals to end by, a name.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::Failure;

/// Runs until it ends, and leaves behind what does not.
pub(super) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .enable_all()
        .build()
        .map_err(failed("cannot start the runtime"))?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORDS);
    result
}

/// What ends the process gracefully.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

pub(super) fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::Failed(format!("{what}: {error}"))
}

/// The name of a machine that was given none.
pub(super) fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "windrose".into())
}

/// What is said when there are no signals to listen for.
pub(super) const NO_SIGNALS: &str = "cannot listen for signals";

/// TCP, checks and control share these; the UDP threads are others.
const ASYNC_THREADS: usize = 2;

/// Threads that still work after this are left behind when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
