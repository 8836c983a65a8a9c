//! What a service manager is told of this process (`sd_notify`, as systemd has it), if one started it.
//!
//! ```text
//!   started --first checks--> READY=1 --WATCHDOG=1 each second--> STOPPING=1
//!                               answers from here on               answers what is in flight
//! ```

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Whoever looks after this process; perhaps nobody.
#[derive(Debug)]
pub(super) struct Service {
    /// It wants a sign of life from time to time.
    watched: bool,
}

impl Service {
    /// Whoever the environment names. `pace` is how often [`Service::is_alive`] will be called.
    pub(super) fn from_environment(pace: Duration) -> Self {
        let within = sd_notify::watchdog_enabled();
        if let Some(within) = within.filter(|within| *within < 2 * pace) {
            warn!(
                "a watchdog of {within:?} is too short: a sign of life comes every {pace:?}; set WatchdogSec=30"
            );
        }
        Self { watched: within.is_some() }
    }

    /// It does what it is for, and goes on; what that is.
    pub(super) fn is_ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// What it does now.
    pub(super) fn does(&self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// The work goes on.
    pub(super) fn is_alive(&self) {
        if self.watched {
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// It ends, when what is in flight is answered.
    pub(super) fn is_stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

/// Nobody goes without answers because a manager cannot be told.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("the service manager cannot be told ({states:?}): {error}");
    }
}
