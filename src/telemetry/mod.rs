//! Log lines, and the clock.

mod clock;

use tracing_subscriber::EnvFilter;

pub use clock::Clock;

/// Starts logging to standard error. `WINDROSE_LOG` says what, as `info`, `debug`, or
/// `windrose::probe=debug`; [`DEFAULT_FILTER`] otherwise.
pub fn start_log() {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    // A second start, as in tests, keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
}

const FILTER_VARIABLE: &str = "WINDROSE_LOG";
/// The client of NATS tells of every attempt; `fleet` tells what matters of them.
const DEFAULT_FILTER: &str = "info,async_nats=off";
